#include "cli/admin/contexts.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "config/document/node.h"

namespace weir::cli::admin {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostBytes = 1U << 20U;
constexpr std::size_t kLongestName = 64;

struct Field {
  const char* name;
  std::string ServerContext::* member;
};
constexpr std::array<Field, 5> kFields = {{{"url", &ServerContext::url},
                                           {"token", &ServerContext::token},
                                           {"ca_file", &ServerContext::ca_file},
                                           {"certificate_file", &ServerContext::certificate_file},
                                           {"key_file", &ServerContext::key_file}}};

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): there is one thread
  return value == nullptr ? "" : value;
}

std::unexpected<Error> Malformed(const std::string& path, const std::string& what) {
  return Fail(ErrorCode::kInvalidArgument, "'" + path + "': " + what + "; mend it, or remove it and log in again");
}

// Nothing of the text is repeated: a token may stand where something else was meant.
Result<Contexts> Read(const std::string& path, const std::string& text) {
  const config::ParsedTree tree = config::ParseYamlTree(text);
  if (!tree.faults.empty()) {
    return Malformed(path, "line " + std::to_string(tree.faults.front().line) + " is no YAML");
  }
  Contexts contexts;
  if (const config::Node* current = tree.root.Find("current"); current != nullptr && current->IsText()) {
    contexts.current = current->text;
  }
  const config::Node* const servers = tree.root.Find("contexts");
  if (servers == nullptr || servers->IsScalar()) return contexts;
  for (const config::Node& one : servers->children) {
    if (!CheckContextName(one.key) || one.kind != config::Node::Kind::kMap) {
      return Malformed(path, "line " + std::to_string(one.key_line) + " is no context");
    }
    ServerContext& server = contexts.servers[one.key];
    for (const Field& field : kFields) {
      const config::Node* const value = one.Find(field.name);
      if (value != nullptr && value->IsScalar() && value->kind != config::Node::Kind::kNull) {
        server.*field.member = value->text;
      }
    }
    if (server.url.empty()) return Malformed(path, "a context has no url");
  }
  return contexts;
}

}  // namespace

const ServerContext* Contexts::Find(const std::string& name) const {
  const auto found = servers.find(name);
  return found == servers.end() ? nullptr : &found->second;
}

std::string ContextsPath() {
  if (const std::string home = Environment("XDG_CONFIG_HOME"); !home.empty()) return home + "/weir/contexts.yaml";
  if (const std::string home = Environment("HOME"); !home.empty()) return home + "/.config/weir/contexts.yaml";
  return {};
}

Result<> CheckContextName(std::string_view name) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  const bool good = !name.empty() && name.size() <= kLongestName && plain(name.front()) &&
                    std::ranges::all_of(name, [&](char c) { return plain(c) || c == '.' || c == '_' || c == '-'; });
  if (good) return {};
  return Fail(ErrorCode::kInvalidArgument,
              "a context's name is 1 to 64 letters, digits, '.', '_' and '-', and begins with a letter or a digit");
}

Result<Contexts> LoadContexts(const std::string& path) {
  if (path.empty()) return Contexts{};
  const auto file = OpenRegularFile(path);
  if (!file) {
    if (file.error().code == ErrorCode::kNotFound) return Contexts{};
    return std::unexpected(file.error());
  }
  struct stat status{};
  if (fstat(file->get(), &status) == 0 && (status.st_mode & 0077) != 0) {
    return Fail(ErrorCode::kFailedPrecondition,
                "'" + path + "' holds tokens and others may read it: chmod 600 it, and revoke tokens that leaked");
  }
  const auto text = ReadRegularFile(path, kMostBytes);
  if (!text) return std::unexpected(text.error());
  if (text->size() > kMostBytes) return Malformed(path, "it is too large");
  return Read(path, *text);
}

Result<> SaveContexts(const std::string& path, const Contexts& contexts) {
  if (path.empty()) {
    return Fail(ErrorCode::kFailedPrecondition, "neither XDG_CONFIG_HOME nor HOME says where contexts are kept");
  }
  std::error_code fault;
  const fs::path folder = fs::path(path).parent_path();
  if (fs::create_directories(folder, fault)) fs::permissions(folder, fs::perms::owner_all, fault);
  if (fault) return Fail(ErrorCode::kUnavailable, "cannot make '" + folder.string() + "': " + fault.message());
  config::Node root = config::Node::Map();
  root.Add("current", config::Node::String(contexts.current));
  config::Node servers = config::Node::Map();
  for (const auto& [name, server] : contexts.servers) {
    config::Node one = config::Node::Map();
    for (const Field& field : kFields) {
      if (!(server.*field.member).empty()) one.Add(field.name, config::Node::String(server.*field.member));
    }
    servers.Add(name, std::move(one));
  }
  root.Add("contexts", std::move(servers));
  return ReplaceFile(path, config::EmitYaml(root));
}

}  // namespace weir::cli::admin
