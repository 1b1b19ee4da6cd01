// login, and the contexts that it makes.
#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "cli/admin/commands.h"
#include "cli/admin/contexts.h"
#include "cli/admin/input.h"
#include "cli/terminal.h"
#include "config/document/node.h"

namespace weir::cli::admin {
namespace {

constexpr std::size_t kLongestToken = 8'192;

// What is typed on the terminal is not shown while this lives.
class NoEcho {
 public:
  NoEcho() {
    shown_ = tcgetattr(STDIN_FILENO, &before_) == 0;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    if (shown_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  }
  ~NoEcho() {
    if (shown_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;

 private:
  termios before_{};
  bool shown_ = false;
};

std::string ReadLine() {
  std::string line;
  for (int c = 0; line.size() <= kLongestToken && (c = std::fgetc(stdin)) != EOF && c != '\n';)
    line += static_cast<char>(c);
  while (line.ends_with('\r') || line.ends_with(' ')) line.pop_back();
  return line;
}

Outcome<std::string> ReadToken() {
  const char* const given = std::getenv("WEIR_ADMIN_TOKEN");  // NOLINT(concurrency-mt-unsafe): there is one thread
  std::string token = given == nullptr ? "" : given;
  if (token.empty() && isatty(STDIN_FILENO) == 1) {
    const NoEcho silence;
    fmt::print(stderr, "Token: ");
    token = ReadLine();
    fmt::print(stderr, "\n");
  } else if (token.empty()) {
    token = ReadLine();
  }
  if (token.empty()) {
    return Misused("there is no token: type it, give it on standard input, or set WEIR_ADMIN_TOKEN");
  }
  for (const char c : token) {
    if (c <= ' ' || c > '~') return Misused("the token has characters that no token has");
  }
  if (token.size() > kLongestToken) return Misused("the token is too long");
  return token;
}

// "weir.example" of "https://weir.example:8089".
std::string NameOf(const std::string& url) {
  if (url.starts_with("unix:")) return "local";
  std::string name = url.substr(url.find("://") + 3);
  if (name.starts_with('[')) return "local";
  name = name.substr(0, name.find(':'));
  return name == "127.0.0.1" ? "localhost" : name;
}

// An absolute path: the command may be run elsewhere later.
std::string Absolute(const std::string& path) {
  if (path.empty() || path.starts_with('/')) return path;
  char* const found = realpath(path.c_str(), nullptr);
  std::string out = found == nullptr ? path : found;
  std::free(found);  // NOLINT(cppcoreguidelines-no-malloc): as realpath has it
  return out;
}

Outcome<> Login(const LoginOptions& options) {
  auto url = NormalUrl(options.url, options.allow_plaintext);
  if (!url) return std::unexpected(url.error());
  const std::string name = options.name.empty() ? NameOf(*url) : options.name;
  if (const auto checked = CheckContextName(name); !checked) return Misused(checked.error());
  const std::string path = ContextsPath();
  auto contexts = LoadContexts(path);
  if (!contexts) return Misused(contexts.error());
  auto token = ReadToken();
  if (!token) return std::unexpected(token.error());
  const ServerContext context{.url = std::move(*url),
                              .token = std::move(*token),
                              .ca_file = Absolute(options.ca_file),
                              .certificate_file = Absolute(options.certificate_file),
                              .key_file = Absolute(options.key_file)};
  AdminServer server(context, "", 30 * kSecond);
  // Every role may read this but those within a tenant, who are told 403: they are known, too.
  const auto answer = server.Get("/roles");
  if (!answer && answer.error().json.find("\"forbidden\"") == std::string::npos) {
    Complaint complaint = answer.error();
    if (complaint.json.find("\"unauthenticated\"") != std::string::npos) {
      complaint.text = context.url + " does not take this token";
    }
    return std::unexpected(std::move(complaint));
  }
  contexts->servers.insert_or_assign(name, context);
  contexts->current = name;
  if (const auto saved = SaveContexts(path, *contexts); !saved) return Misused(saved.error());
  fmt::print("{}: logged in, as context {}\n", context.url, name);
  return {};
}

Outcome<Contexts> Known() {
  auto contexts = LoadContexts(ContextsPath());
  if (!contexts) return Misused(contexts.error());
  return std::move(*contexts);
}

Outcome<> List(bool json) {
  const auto contexts = Known();
  if (!contexts) return std::unexpected(contexts.error());
  if (json) {
    config::Node root = config::Node::Map();
    root.Add("current", config::Node::String(contexts->current));
    config::Node servers = config::Node::Map();
    for (const auto& [name, server] : contexts->servers) servers.Add(name, config::Node::String(server.url));
    root.Add("contexts", std::move(servers));
    fmt::print("{}", config::EmitJson(root));
    return {};
  }
  std::vector<std::vector<std::string>> rows{{"", "context", "server"}};
  for (const auto& [name, server] : contexts->servers) {
    rows.push_back({name == contexts->current ? "*" : "", name, server.url});
  }
  PrintTable(rows, "no contexts: weir login URL");
  return {};
}

Outcome<> Change(const std::string& name, bool remove) {
  auto contexts = Known();
  if (!contexts) return std::unexpected(contexts.error());
  if (contexts->Find(name) == nullptr) return Misused("there is no context '" + Printable(name) + "'");
  if (remove) {
    contexts->servers.erase(name);
    if (contexts->current == name) contexts->current.clear();
  } else {
    contexts->current = name;
  }
  if (const auto saved = SaveContexts(ContextsPath(), *contexts); !saved) return Misused(saved.error());
  return {};
}

}  // namespace

int RunLogin(const LoginOptions& options) { return ExitCode(Login(options), false); }
int RunContextList(bool json) { return ExitCode(List(json), json); }
int RunContextUse(const std::string& name) { return ExitCode(Change(name, false), false); }
int RunContextRemove(const std::string& name) { return ExitCode(Change(name, true), false); }

}  // namespace weir::cli::admin
