// validate, schema, convert, template, version: commands about documents rather than requests.
#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "config/snapshot.h"
#include "weir/config.h"

namespace weir::cli {
namespace {

constexpr std::size_t kMaxDocumentBytes = 16u << 20;

Result<std::string> ReadAll(const std::string& file) {
  std::ifstream opened;
  if (file != "-") {
    opened.open(file, std::ios::binary);
    if (!opened) return Fail(ErrorCode::kNotFound, fmt::format("cannot read '{}'", file));
  }
  std::istream& in = file == "-" ? std::cin : opened;
  std::string text(kMaxDocumentBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kMaxDocumentBytes)
    return Fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is larger than 16 MiB", file));
  return text;
}

// The reader's faults, and behind them what only compiling can see.
std::vector<Fault> AllFaults(const std::string& text) {
  ParsedConfig parsed = ParseConfig(text);
  if (parsed.ok()) {
    if (auto compiled = config::Snapshot::Compile(parsed.config, nullptr, 0); !compiled) {
      parsed.faults.push_back({Severity::kError, "", 0, compiled.error().message, ""});
    }
  }
  return parsed.faults;
}

boost::json::object FaultJson(const std::string& file, const Fault& fault) {
  return {{"file", file},
          {"severity", fault.severity == Severity::kError ? "error" : "warning"},
          {"path", fault.path},
          {"line", fault.line},
          {"message", fault.message},
          {"hint", fault.hint}};
}

}  // namespace

int RunValidate(const ValidateOptions& options) {
  bool valid = true;
  boost::json::array all;
  for (const std::string& file : options.files) {
    const auto text = ReadAll(file);
    if (!text) {
      fmt::print(stderr, "weir: {}\n", text.error().message);
      return 2;
    }
    std::size_t errors = 0, warnings = 0;
    for (const Fault& fault : AllFaults(*text)) {
      ++(fault.severity == Severity::kError ? errors : warnings);
      if (options.json) {
        all.push_back(FaultJson(file, fault));
      } else {
        fmt::print("{}\n", Printable(Describe(fault, file)));
      }
    }
    valid = valid && errors == 0;
    if (!options.json) {
      fmt::print("{}: {}{}\n", file, errors == 0 ? "valid" : fmt::format("{} error{}", errors, errors == 1 ? "" : "s"),
                 warnings == 0 ? "" : fmt::format(", {} warning{}", warnings, warnings == 1 ? "" : "s"));
    }
  }
  if (options.json) {
    fmt::print("{}\n", boost::json::serialize(boost::json::object{{"valid", valid}, {"faults", std::move(all)}}));
  }
  return valid ? 0 : 1;
}

int RunSchema(const SchemaOptions& options) {
  fmt::print("{}\n", options.markdown ? ConfigReferenceMarkdown() : ConfigJsonSchema());
  return 0;
}

int RunConvert(const ConvertOptions& options) {
  const auto text = ReadAll(options.file);
  if (!text) {
    fmt::print(stderr, "weir: {}\n", text.error().message);
    return 2;
  }
  const auto basic = ParseBasicConfig(*text);
  if (!basic) {
    fmt::print(stderr, "weir: {}: {}\n", options.file, basic.error().message);
    return 1;
  }
  const EnterpriseRateLimitConfig config = EnterpriseRateLimitConfig::FromBasic(*basic);
  for (const Fault& fault : ValidateConfig(config)) fmt::print(stderr, "{}\n", Describe(fault));
  fmt::print("{}\n", options.json ? ToJson(config) : ToYaml(config));
  return 0;
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
  fmt::print("{}", Table(rows));
  return 0;
}

int RunVersion(const VersionOptions& options) {
  if (options.json) {
    fmt::print("{}\n", boost::json::serialize(boost::json::object{
                           {"name", "weir"}, {"version", WEIR_VERSION}, {"compiler", __VERSION__}}));
  } else {
    fmt::print("weir {} (g++ {})\n", WEIR_VERSION, __VERSION__);
  }
  return 0;
}

}  // namespace weir::cli
