#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "cli/admin/commands.h"
#include "cli/admin/complete.h"
#include "cli/commands.h"
#include "cli/terminal.h"
#include "config/document/reader.h"

namespace weir::cli {
namespace {

// What CLI11 reads into an unsigned number: it would take "-1" for a very large one.
CLI::Validator WholeNumber() {
  return {[](const std::string& text) -> std::string {
            std::uint64_t number = 0;
            const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
            const bool whole = fault == std::errc() && end == text.data() + text.size();
            return whole ? "" : "must be an integer >= 0, got '" + text + "'";
          },
          "INTEGER >= 0"};
}

void AddRequestFlags(CLI::App& command, RequestOptions& options) {
  command.add_option("-c,--config", options.config_file, "configuration (YAML or JSON); default: the built-in sample");
  command.add_option("--domain", options.domain, "domain of the request");
  command.add_option("--ip", options.ip, "address of the connection");
  command.add_option("--user", options.user, "authenticated user");
  command.add_option("--tenant", options.tenant, "tenant (organisation)");
  command.add_option("--tier", options.tier, "tier; default: what the user or tenant says, else free_tier");
  command.add_option("--api-key", options.api_key, "API key");
  command.add_option("--country", options.country, "ISO 3166-1 alpha-2 country of the client");
  command.add_option("--method", options.method, "HTTP method")->capture_default_str();
  command.add_option("--path", options.path, "path, with or without query")->capture_default_str();
  command.add_option("-H,--header", options.headers, "a header, 'Name: value'; may be repeated");
  command.add_option("-a,--attribute", options.attributes, "a free descriptor, name=value; may be repeated");
  command.add_option("-d,--descriptor", options.descriptor,
                     "an entry, key=value, of a descriptor of --domain, as Envoy would send it; may be repeated");
  command.add_option("--cost", options.cost, "weight of the request; 0 only looks")
      ->check(WholeNumber())
      ->capture_default_str();
  command.add_option("--request-id", options.request_id, "names the request: asked again, it is not charged again");
  command.add_flag("--json", options.json, "print JSON");
}

std::vector<std::string> FlagsOf(const CLI::App& command) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  return flags;
}

// "weir: there is no command 'serv': did you mean 'serve'?". Empty: the fault is another one.
std::string Suggestion(const CLI::App& app, const std::vector<std::string>& words, const CLI::ParseError& error) {
  const bool extra = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  const bool missing = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  if (!extra && !missing) return {};
  const auto told = [](std::string_view kind, const std::string& word, const std::vector<std::string>& known) {
    const std::string meant = config::DidYouMean(word, {known.begin(), known.end()});
    return fmt::format("weir: there is no {} '{}'{}", kind, Printable(word), meant.empty() ? "" : ": " + meant);
  };
  // As far down as the words are commands.
  const CLI::App* command = &app;
  for (const std::string& word : words) {
    std::vector<std::string> commands;
    for (const CLI::App* one : command->get_subcommands([](const CLI::App*) { return true; })) {
      commands.push_back(one->get_name());
    }
    if (commands.empty()) break;
    const bool known = std::ranges::find(commands, word) != commands.end();
    if (!known && word.starts_with('-')) break;
    if (!known) return told("command", word, commands);
    command = command->get_subcommand(word);
  }
  if (!extra) return {};
  const std::vector<std::string> flags = FlagsOf(*command);
  for (const std::string& word : words) {
    const std::string name = word.substr(0, word.find('='));
    if (!name.starts_with("--") || name.size() == 2) continue;
    if (std::ranges::find(flags, name) == flags.end()) return told("flag", name, flags);
  }
  return {};
}

}  // namespace

int Main(int argc, const char* const* argv) try {
  CLI::App app("weir decides whether a request may pass.", "weir");
  app.require_subcommand(1);
  app.set_version_flag("-V,--version", VersionText());
  app.footer(
      "Exit codes: 0 done (check: allowed), 1 a negative answer (denied, invalid, refused), 2 wrong usage or failure,\n"
      "3 no server answered (login, top, admin).\n"
      "Manual: man weir. Start with: weir serve");
  std::function<int()> run;

  ServeOptions serve;
  CLI::App* command = app.add_subcommand("serve", "run the daemon");
  command->add_option(
      "-c,--config", serve.config_file,
      "configuration (YAML or JSON); default: what the state directory keeps, at first the built-in sample");
  command
      ->add_option(
          "--envoy-config", serve.envoy_files,
          "configuration of envoyproxy/ratelimit, or a directory of them; may be repeated, and needs no --config")
      ->allow_extra_args(false);
  command->add_option("--http", serve.http, "HTTP listener: ADDRESS:PORT, unix:PATH or off (default 127.0.0.1:8080)");
  command->add_option("--resp", serve.resp, "RESP listener for Redis clients (default 127.0.0.1:6380)");
  command->add_option("--grpc", serve.grpc, "gRPC listener (default 127.0.0.1:8081)");
  command->add_option("--admin", serve.admin, "management listener (default 127.0.0.1:8089)");
  command->add_option("--state-dir", serve.state_dir,
                      "where revisions, tokens, the audit log and counts are kept (default $STATE_DIRECTORY, else "
                      "$XDG_STATE_HOME/weir)");
  command->callback([&] { run = [&] { return RunServe(serve); }; });

  RequestOptions check;
  command = app.add_subcommand("check", "decide one request against a configuration, in this process");
  AddRequestFlags(*command, check);
  command->add_option("-n,--count", check.count, "ask so often in a row")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->callback([&] { run = [&] { return RunCheck(check); }; });

  RequestOptions explain;
  command = app.add_subcommand("explain", "tell step by step how a request would be decided");
  AddRequestFlags(*command, explain);
  command->callback([&] { run = [&] { return RunExplain(explain); }; });

  ValidateOptions validate;
  command = app.add_subcommand("validate", "check configurations and name every fault");
  command->add_option("FILE", validate.files, "configurations (YAML or JSON)")->required();
  command->add_flag("--json", validate.json, "print JSON");
  command->callback([&] { run = [&] { return RunValidate(validate); }; });

  SchemaOptions schema;
  command = app.add_subcommand("schema", "print the JSON Schema of the configuration");
  command->add_flag("--markdown", schema.markdown, "print the configuration reference instead");
  command->callback([&] { run = [&] { return RunSchema(schema); }; });

  StorageSchemaOptions storage_schema;
  command = app.add_subcommand("storage", "what concerns the store of counts")->require_subcommand(1);
  command = command->add_subcommand("schema", "print the statements that make what the PostgreSQL store needs");
  command->add_option("-c,--config", storage_schema.config_file, "configuration with storage.postgres");
  command->add_option("--grant", storage_schema.role, "a role that may then use it");
  command->callback([&] { run = [&] { return RunStorageSchema(storage_schema); }; });

  ConvertOptions convert;
  command = app.add_subcommand("convert", "print another limiter's configuration in weir's form");
  command->add_option("--from", convert.from, "what the file is")
      ->check(CLI::IsMember({"basic", "envoy-ratelimit", "limitador"}))
      ->capture_default_str();
  command->add_option("FILE", convert.files, "the files, for envoy-ratelimit also directories; - reads standard input")
      ->required();
  command->add_flag("--merge-domains", convert.merge_domains,
                    "envoy-ratelimit: a domain may be in several files (MERGE_DOMAIN_CONFIG)");
  command->add_flag("--json", convert.json, "print JSON instead of YAML");
  command->callback([&] { run = [&] { return RunConvert(convert); }; });

  TemplateOptions templates;
  command = app.add_subcommand("template", "list the ready-made configurations, or print one");
  command->add_option("NAME", templates.name, "which to print");
  command->add_flag("--json", templates.json, "list as JSON");
  command->callback([&] { run = [&] { return RunTemplate(templates); }; });

  BenchOptions bench;
  command = app.add_subcommand("bench", "measure decisions a second in this process");
  command->add_option("-c,--config", bench.config_file, "configuration; default: two token buckets a request");
  command->add_option("--subjects", bench.subjects, "distinct users")
      ->check(CLI::Range(1, 100'000'000))
      ->capture_default_str();
  command->add_option("--threads", bench.threads, "deciding threads")->check(CLI::Range(1, 256))->capture_default_str();
  command->add_option("--seconds", bench.seconds, "how long")->check(CLI::Range(1, 600))->capture_default_str();
  command->add_flag("--zipf", bench.zipf, "few subjects ask most (Zipf, s = 0.99) instead of all alike");
  command->add_flag("--json", bench.json, "print JSON");
  command->callback([&] { run = [&] { return RunBench(bench); }; });

  SimulateOptions simulate;
  bool quiet = false;
  command = app.add_subcommand(
      "simulate", "replay an access log against a configuration: who would be denied, when, by which rule");
  command->add_option("-c,--config", simulate.config_file, "configuration to try; default: the built-in sample");
  command
      ->add_option(
          "LOG", simulate.logs,
          "access logs in any order, plain or gzipped: common or combined format, also with the virtual host in "
          "front, or one JSON object a line; - reads standard input")
      ->required();
  command->add_option("--top", simulate.top, "how many clients to list")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_flag("--json", simulate.json, "print JSON");
  command->add_flag("-q,--quiet", quiet, "show no progress");
  command->callback([&] {
    simulate.progress = !quiet;
    run = [&] { return RunSimulate(simulate); };
  });

  AuditVerifyOptions verify;
  command = app.add_subcommand("audit", "look after the audit log");
  command->require_subcommand(1);
  command =
      command->add_subcommand("verify", "find records that were edited, removed, put in another order or cut off");
  command->add_option("--state-dir", verify.state_dir, "where the daemon keeps its state; the log is in audit/ there");
  command->add_option("--public-key", verify.public_key_file,
                      "the log's public key, kept elsewhere; default: signing.pub beside the log");
  command
      ->add_option("--checkpoint", verify.checkpoint_files,
                   "checkpoints that were kept elsewhere, a line each: the log must have passed them; may be repeated")
      ->allow_extra_args(false);
  command->add_flag("--json", verify.json, "print JSON");
  command->callback([&] { run = [&] { return RunAuditVerify(verify); }; });

  VersionOptions version;
  command = app.add_subcommand("version", "print the version");
  command->add_flag("--json", version.json, "print JSON");
  command->callback([&] { run = [&] { return RunVersion(version); }; });

  std::string shell;
  command = app.add_subcommand("completion", "print a completion script");
  command->add_option("SHELL", shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([&] { run = [&] { return RunCompletion(shell); }; });

  admin::AddCommands(app, run);

  // Scripts of the shells ask this; it is in no help.
  if (argc > 1 && std::string_view(argv[1]) == "__complete") {
    for (const std::string& one : admin::Candidates(app, {argv + 2, argv + argc})) fmt::print("{}\n", one);
    return 0;
  }
  if (argc == 1) {
    fmt::print("{}", app.help());
    return 2;
  }
  std::vector<std::string> words(argv + 1, argv + argc);
  // `weir help serve` is `weir serve --help`.
  if (words.front() == "help") {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  std::ranges::reverse(words);  // as CLI11 takes them
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    std::ranges::reverse(words);
    if (const std::string meant = Suggestion(app, {argv + 1, argv + argc}, error); !meant.empty()) {
      fmt::print(stderr, "{}\nRun with --help for more information.\n", meant);
      return 2;
    }
    return app.exit(error) == 0 ? 0 : 2;
  }
  return run();
} catch (const std::exception& error) {
  std::fprintf(stderr, "weir: %s\n", error.what());
  return 2;
}

}  // namespace weir::cli
