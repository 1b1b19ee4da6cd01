// validate, schema, convert, template, version: commands about documents rather than requests.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "config/document/node.h"
#include "config/import/import_envoy.h"
#include "config/import/import_limitador.h"
#include "config/source/load.h"
#include "engine/document_faults.h"
#include "weir/config.h"

namespace weir::cli {
namespace {

Result<std::string> ReadAll(const std::string& file) {
  std::string text;
  if (file == "-") {
    text.resize(config::kMaxDocumentBytes + 1);
    std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(std::cin.gcount()));
  } else {
    auto read = config::ReadTextFile(file);
    if (!read) return read;
    text = std::move(*read);
  }
  if (text.size() > config::kMaxDocumentBytes)
    return Fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is larger than 16 MiB", file));
  return text;
}

// A document may be looked at elsewhere than where it will be used, so what is not here is a warning.
void AddAbsentFiles(std::string_view text, const std::string& file, config::LoadedDocument& loaded) {
  if (!loaded.ok()) return;
  const ServerConfig& server = loaded.config.server;
  const std::pair<std::string_view, const ListenerConfig&> listeners[] = {
      {"http", server.http}, {"resp", server.resp}, {"grpc", server.grpc}, {"admin", server.admin}};
  for (const auto& [name, listener] : listeners) {
    if (!listener.tls || listener.address == "off") continue;
    const std::pair<std::string_view, const std::string&> named[] = {
        {"certificate_file", listener.tls->certificate_file},
        {"key_file", listener.tls->key_file},
        {"client_ca_file", listener.tls->client_ca_file}};
    for (const auto& [key, path] : named) {
      // Not opened: validation needs no key, and opening a pipe would block.
      if (path.empty() || access(path.c_str(), R_OK) == 0) continue;
      const std::string why = std::generic_category().message(errno);
      loaded.faults.push_back({file,
                               {.severity = Severity::kWarning,
                                .path = fmt::format("server.{}.tls.{}", name, key),
                                .line = config::LineWith(text, path),
                                .message = fmt::format("cannot read '{}': {}", path, why),
                                .hint = "weir serve needs it to start"}});
    }
  }
}

// The reader's faults, those of the files that it names, and behind them what only compiling can see.
std::vector<config::FileFault> AllFaults(const std::string& text, const std::string& file) {
  config::LoadedDocument loaded = config::LoadDocument(text, file);
  engine::AddCompileFaults(text, file, loaded);
  AddAbsentFiles(text, file, loaded);
  return loaded.faults;
}

boost::json::object FaultJson(const config::FileFault& one) {
  const Fault& fault = one.fault;
  return {{"file", one.file},       {"severity", fault.severity == Severity::kError ? "error" : "warning"},
          {"path", fault.path},     {"line", fault.line},
          {"column", fault.column}, {"message", fault.message},
          {"hint", fault.hint}};
}

}  // namespace

int RunValidate(const ValidateOptions& options) {
  bool valid = true, readable = true;
  boost::json::array all;
  for (const std::string& file : options.files) {
    const auto text = ReadAll(file);
    // The others are looked at all the same.
    if (!text) {
      readable = false;
      if (options.json) {
        all.push_back(FaultJson({file, {.message = text.error().message}}));
      } else {
        fmt::print(stderr, "weir: {}\n", text.error().message);
      }
      continue;
    }
    std::size_t errors = 0, warnings = 0;
    for (const config::FileFault& one : AllFaults(*text, file)) {
      ++(one.fault.severity == Severity::kError ? errors : warnings);
      if (options.json) {
        all.push_back(FaultJson(one));
      } else {
        fmt::print("{}\n", Printable(config::Describe(one)));
      }
    }
    valid = valid && errors == 0;
    if (!options.json) {
      fmt::print("{}: {}{}\n", file,
                 errors == 0 ? Coloured("valid", Colour::kGreen)
                             : Coloured(fmt::format("{} error{}", errors, errors == 1 ? "" : "s"), Colour::kRed),
                 warnings == 0 ? "" : fmt::format(", {} warning{}", warnings, warnings == 1 ? "" : "s"));
    }
  }
  if (options.json) {
    fmt::print("{}\n",
               boost::json::serialize(boost::json::object{{"valid", valid && readable}, {"faults", std::move(all)}}));
  }
  if (!readable) return 2;
  return valid ? 0 : 1;
}

int RunSchema(const SchemaOptions& options) {
  fmt::print("{}", options.markdown ? ConfigReferenceMarkdown() : ConfigJsonSchema());
  return 0;
}

namespace {

int Print(const EnterpriseRateLimitConfig& config, bool json) {
  fmt::print("{}\n", json ? ToJson(config) : ToYaml(config));
  return 0;
}

int ConvertBasic(const ConvertOptions& options) {
  if (options.files.size() != 1) {
    fmt::print(stderr, "weir: --from basic takes one file\n");
    return 2;
  }
  const std::string& file = options.files.front();
  const auto text = ReadAll(file);
  if (!text) {
    fmt::print(stderr, "weir: {}\n", text.error().message);
    return 2;
  }
  const auto basic = ParseBasicConfig(*text);
  if (!basic) {
    fmt::print(stderr, "weir: {}: {}\n", file, basic.error().message);
    return 1;
  }
  const EnterpriseRateLimitConfig config = EnterpriseRateLimitConfig::FromBasic(*basic);
  for (const Fault& fault : ValidateConfig(config)) fmt::print(stderr, "{}\n", Describe(fault));
  return Print(config, options.json);
}

// The texts of files, of directories too where `directories`; nullopt after a complaint.
std::optional<std::vector<config::SourceText>> ReadSources(const std::vector<std::string>& files, bool directories) {
  std::vector<config::SourceText> sources;
  for (const std::string& file : files) {
    std::error_code error;
    if (directories && std::filesystem::is_directory(file, error)) {
      std::vector<config::FileFault> faults;
      std::ranges::move(config::ReadEnvoyFiles({file}, faults), std::back_inserter(sources));
      for (const config::FileFault& one : faults) fmt::print(stderr, "weir: {}\n", Printable(config::Describe(one)));
      if (!faults.empty()) return std::nullopt;
      continue;
    }
    auto text = ReadAll(file);
    if (!text) {
      fmt::print(stderr, "weir: {}\n", text.error().message);
      return std::nullopt;
    }
    sources.push_back({file, std::move(*text)});
  }
  return sources;
}

}  // namespace

int RunConvert(const ConvertOptions& options) {
  if (options.from == "basic") return ConvertBasic(options);
  const bool envoy = options.from == "envoy-ratelimit";
  const auto sources = ReadSources(options.files, envoy);
  if (!sources) return 2;
  config::ImportedDomains imported =
      envoy ? config::ImportEnvoy(*sources, options.merge_domains) : config::ImportLimitador(*sources);
  for (const config::FileFault& one : imported.faults) {
    fmt::print(stderr, "{}\n", Printable(config::Describe(one)));
  }
  if (!imported.ok()) return 1;
  EnterpriseRateLimitConfig config = config::EnvoyOnlyDocument();
  config.domains = std::move(imported.domains);
  return Print(config, options.json);
}

int RunTemplate(const TemplateOptions& options) {
  if (!options.name.empty()) {
    for (const ConfigTemplate& one : ConfigTemplates()) {
      if (one.name == options.name) {
        fmt::print("{}", one.yaml);
        return 0;
      }
    }
    fmt::print(stderr, "weir: no template '{}'; `weir template` lists them\n", options.name);
    return 1;
  }
  if (options.json) {
    boost::json::array list;
    for (const ConfigTemplate& one : ConfigTemplates()) {
      list.push_back(boost::json::object{{"name", std::string(one.name)}, {"summary", std::string(one.summary)}});
    }
    fmt::print("{}\n", boost::json::serialize(list));
    return 0;
  }
  std::vector<std::vector<std::string>> rows = {{"template", "for"}};
  for (const ConfigTemplate& one : ConfigTemplates()) rows.push_back({std::string(one.name), std::string(one.summary)});
  fmt::print("{}", Table(rows, TerminalWidth()));
  return 0;
}

std::string VersionText() { return fmt::format("weir {} (compiler {})", WEIR_VERSION, __VERSION__); }

int RunVersion(const VersionOptions& options) {
  if (options.json) {
    fmt::print("{}\n", boost::json::serialize(boost::json::object{
                           {"name", "weir"}, {"version", WEIR_VERSION}, {"compiler", __VERSION__}}));
  } else {
    fmt::print("{}\n", VersionText());
  }
  return 0;
}

}  // namespace weir::cli
