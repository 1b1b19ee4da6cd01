#include "cli/admin/complete.h"

#include <algorithm>
#include <boost/json.hpp>

#include "cli/admin/kinds.h"
#include "cli/admin/server.h"
#include "cli/admin/values.h"

namespace weir::cli::admin {

namespace json = boost::json;

namespace {

constexpr Nanos kPatience = 700 * kMillisecond;
constexpr std::size_t kMostNames = 100;

// Where the words have led to.
struct Place {
  const CLI::App* command = nullptr;
  std::string path;                   // "admin keys rotate"
  std::vector<std::string> given{};   // arguments that are no flags
  const CLI::Option* flag = nullptr;  // whose value is being typed
};

const CLI::Option* FlagNamed(const CLI::App& command, const std::string& word) {
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      if (word == "--" + name) return option;
    }
    for (const std::string& name : option->get_snames()) {
      if (word == "-" + name) return option;
    }
  }
  return nullptr;
}

const CLI::App* SubcommandNamed(const CLI::App& command, const std::string& word) {
  for (const CLI::App* one : command.get_subcommands([](const CLI::App*) { return true; })) {
    if (one->get_name() == word) return one;
  }
  return nullptr;
}

Place PlaceOf(const CLI::App& app, const std::vector<std::string>& words) {
  Place place{.command = &app, .path = ""};
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (place.flag != nullptr) {
      place.flag = nullptr;  // this was its value
    } else if (word.starts_with('-')) {
      const CLI::Option* const flag = FlagNamed(*place.command, word);
      place.flag = flag != nullptr && flag->get_items_expected_max() > 0 ? flag : nullptr;
    } else if (const CLI::App* const next = SubcommandNamed(*place.command, word)) {
      place.command = next;
      place.path += (place.path.empty() ? "" : " ") + word;
    } else {
      place.given.push_back(word);
    }
  }
  return place;
}

std::string ContextOf(const std::vector<std::string>& words) {
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == "--context") return words[i + 1];
    if (words[i].starts_with("--context=")) return words[i].substr(10);
  }
  return {};
}

// Values of a member of the items of a list; none when the server does not answer in time.
std::vector<std::string> FromServer(const std::string& context, const std::string& path, std::string_view member,
                                    const std::string& before, const Query& query = {}) {
  std::vector<std::string> names;
  auto server = AdminServer::Connect({.context = context}, kPatience);
  if (!server) return names;
  const auto answer = server->Get(path, query);
  const json::value* const items = answer ? At(answer->value, "items") : nullptr;
  if (items == nullptr || !items->is_array()) return names;
  for (const json::value& item : items->get_array()) {
    if (std::string name = TextAt(item, member); !name.empty()) names.push_back(before + name);
  }
  return names;
}

std::vector<std::string> Records(const std::string& context, const std::string& typed, bool settable) {
  std::vector<std::string> names;
  const std::size_t slash = typed.find('/');
  if (slash == std::string::npos) {
    for (const Kind& kind : Kinds()) {
      if (kind.records) names.push_back(std::string(kind.name) + "/");
      if (!settable) names.emplace_back(kind.name);
    }
    return names;
  }
  const auto kind = KindNamed(typed.substr(0, slash));
  if (!kind || !(*kind)->records) return names;
  const Query query{{"prefix", typed.substr(slash + 1)}, {"limit", std::to_string(kMostNames)}};
  return FromServer(context, "/" + std::string((*kind)->name), "name", typed.substr(0, slash + 1), query);
}

std::vector<std::string> ContextNames() {
  std::vector<std::string> names;
  const auto contexts = LoadContexts(ContextsPath());
  if (!contexts) return names;
  for (const auto& [name, server] : contexts->servers) names.push_back(name);
  return names;
}

std::vector<std::string> ValuesOf(const Place& place) {
  const std::string flag = place.flag->get_name();
  if (flag == "--context") return ContextNames();
  if (flag == "--role") return {"viewer", "operator", "editor", "security", "admin", "auditor"};
  if (flag == "--output" || flag == "-o,--output") return {"table", "yaml", "json"};
  if (flag == "--format") return {"yaml", "json"};
  if (flag == "--outcome") return {"success", "denied", "error"};
  if (flag == "--from" && place.path == "convert") return {"basic", "envoy-ratelimit", "limitador"};
  return {};
}

std::vector<std::string> ArgumentsOf(const Place& place, const std::vector<std::string>& words) {
  const std::string context = ContextOf(words);
  const std::string& typed = words.back();
  const std::string& path = place.path;
  if (path == "completion") return {"bash", "zsh", "fish"};
  if (path == "admin context use" || path == "admin context remove") return ContextNames();
  if (path == "admin diff" || path == "admin rollback") {
    return FromServer(context, "/revisions", "number", "", {{"limit", std::to_string(kMostNames)}});
  }
  if (!place.given.empty()) return {};
  if (path == "admin get") return Records(context, typed, false);
  if (path == "admin set" || path == "admin delete") return Records(context, typed, true);
  if (path == "admin keys rotate" || path == "admin keys revoke") {
    return FromServer(context, "/keys", "name", "", {{"limit", std::to_string(kMostNames)}});
  }
  if (path == "admin tokens revoke") return FromServer(context, "/tokens", "id", "");
  if (path == "admin approve" || path == "admin reject") return FromServer(context, "/approvals", "number", "");
  return {};
}

}  // namespace

bool IsPlainWord(std::string_view text) {
  constexpr std::string_view kMarks = "._/@:+,%=-";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

std::vector<std::string> Candidates(const CLI::App& app, const std::vector<std::string>& words) {
  if (words.empty()) return {};
  const Place place = PlaceOf(app, words);
  const std::string& typed = words.back();
  std::vector<std::string> found;
  if (place.flag != nullptr) {
    found = ValuesOf(place);
  } else if (typed.starts_with('-')) {
    for (const CLI::Option* option : place.command->get_options()) {
      for (const std::string& name : option->get_lnames()) found.push_back("--" + name);
    }
  } else {
    for (const CLI::App* one : place.command->get_subcommands([](const CLI::App*) { return true; })) {
      found.push_back(one->get_name());
    }
    if (found.empty()) found = ArgumentsOf(place, words);
  }
  std::erase_if(found, [&](const std::string& one) { return !one.starts_with(typed) || !IsPlainWord(one); });
  std::ranges::sort(found);
  found.erase(std::ranges::unique(found).begin(), found.end());
  return found;
}

}  // namespace weir::cli::admin
