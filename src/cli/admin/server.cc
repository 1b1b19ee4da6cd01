#include "cli/admin/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>

#include "cli/admin/events.h"
#include "cli/terminal.h"

namespace weir::cli::admin {

namespace json = boost::json;

namespace {

constexpr std::string_view kDefaultUrl = "http://127.0.0.1:8089";
constexpr std::string_view kPrefix = "/admin/v1";
constexpr std::size_t kMostBytes = 256U << 20U;
constexpr std::size_t kPage = 1'000;
constexpr std::size_t kMostFaults = 20;  // that people are told

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): there is one thread
  return value == nullptr ? "" : value;
}

// Host of "scheme://host:port", in its brackets if it has some.
std::string_view HostOf(std::string_view url) {
  url.remove_prefix(std::min(url.find("://") + 3, url.size()));
  url = url.substr(0, url.find_first_of("/?#"));
  return url.starts_with('[') ? url.substr(0, url.find(']') + 1) : url.substr(0, url.find(':'));
}

bool IsLoopback(std::string_view host) {
  return host == "localhost" || host == "[::1]" || (host.starts_with("127.") && ParseAddress(host));
}

json::value Parsed(const std::string& body) {
  boost::system::error_code fault;
  json::value value = json::parse(body, fault);
  return fault ? json::value(nullptr) : value;
}

std::string TextOf(const json::object& object, std::string_view member) {
  const json::value* const found = object.if_contains(member);
  return found != nullptr && found->is_string() ? Printable(std::string_view(found->get_string())) : "";
}

// What to do about it; empty: the problem says it.
std::string_view Advice(int status, std::string_view code) {
  if (status == 401) return "log in again: weir login URL";
  if (status == 412) {
    return "somebody else changed it meanwhile, and nothing was done: look at it again (weir admin get), and repeat "
           "the "
           "change if it still is what you want";
  }
  if (status == 421) return "name the host in server.admin.hosts, or use its address";
  if (code == "policy_is_a_file")
    return "change the file and reload it; users, tenants, keys and overrides can be set here";
  return {};
}

}  // namespace

Outcome<std::string> NormalUrl(std::string_view given, bool plaintext) {
  std::string url(given);
  if (url.starts_with("unix:")) {
    if (url.size() > 5 && url[5] == '/') return url;
    return Misused("a Unix socket is named by its whole path: unix:/run/weir/admin.sock");
  }
  if (url.find("://") == std::string::npos) {
    url.insert(0, IsLoopback(HostOf("http://" + url)) ? "http://" : "https://");
  }
  while (url.ends_with('/')) url.pop_back();
  if (url.ends_with(kPrefix)) url.resize(url.size() - kPrefix.size());
  if (!url.starts_with("https://") && !url.starts_with("http://")) {
    return Misused("the URL must begin with https://, http:// or unix:");
  }
  if (HostOf(url).empty() || url.find('@') != std::string::npos || url.find_first_of("?# \"\\") != std::string::npos) {
    return Misused("the URL must be scheme, host and port: https://weir.example:8089");
  }
  if (url.starts_with("http://") && !plaintext && !IsLoopback(HostOf(url))) {
    return Misused(
        "http:// to another machine would show the token to the network: use https://, or say "
        "--allow-plaintext");
  }
  return url;
}

Outcome<ServerContext> FindServer(const std::string& context) {
  const std::string path = ContextsPath();
  const auto contexts = LoadContexts(path);
  if (!contexts) return Misused(contexts.error());
  if (!context.empty()) {
    const ServerContext* const found = contexts->Find(context);
    if (found == nullptr) return Misused(fmt::format("there is no context '{}'; weir admin context list", context));
    return *found;
  }
  const std::string url = Environment("WEIR_ADMIN_URL");
  const std::string token = Environment("WEIR_ADMIN_TOKEN");
  ServerContext server;
  if (url.empty() && !contexts->current.empty()) {
    const ServerContext* const found = contexts->Find(contexts->current);
    if (found == nullptr) {
      return Misused(fmt::format("the current context '{}' is gone; weir admin context use NAME", contexts->current));
    }
    server = *found;
  } else {
    // Whoever sets the variable has decided about plain text.
    auto normal = NormalUrl(url.empty() ? kDefaultUrl : url, true);
    if (!normal) return std::unexpected(normal.error());
    server.url = std::move(*normal);
  }
  if (!token.empty()) server.token = token;
  if (server.token.empty()) {
    return Misused("there is no token for " + server.url + ": weir login URL, or set WEIR_ADMIN_TOKEN");
  }
  return server;
}

AdminServer::AdminServer(ServerContext server, std::string reason, Nanos timeout)
    : server_(std::move(server)), reason_(std::move(reason)) {
  io::HttpOptions options;
  options.timeout = timeout;
  options.connect_timeout = std::min(options.connect_timeout, timeout);
  options.most_bytes = kMostBytes;
  options.plaintext = true;  // NormalUrl() says for what
  options.ca_file = server_.ca_file;
  options.certificate_file = server_.certificate_file;
  options.key_file = server_.key_file;
  options.user_agent = "weir-cli/" WEIR_VERSION;
  if (server_.url.starts_with("unix:")) {
    options.unix_socket = server_.url.substr(5);
  } else {
    options.environment_proxy = !IsLoopback(HostOf(server_.url));
  }
  client_ = std::make_unique<io::HttpClient>(std::move(options));
}

Outcome<AdminServer> AdminServer::Connect(const CommonOptions& options, Nanos timeout) {
  auto server = FindServer(options.context);
  if (!server) return std::unexpected(server.error());
  return AdminServer(std::move(*server), options.reason, timeout);
}

io::HttpRequest AdminServer::RequestOf(std::string_view method, const std::string& path) const {
  io::HttpRequest request{.method = std::string(method)};
  request.url = (server_.url.starts_with("unix:") ? "http://localhost" : server_.url) + std::string(kPrefix) + path;
  request.headers.push_back({"Authorization", "Bearer " + server_.token});
  return request;
}

Outcome<ServerAnswer> AdminServer::Ask(std::string_view method, const std::string& path, std::string body,
                                       std::vector<io::HttpHeader> headers) {
  io::HttpRequest request = RequestOf(method, path);
  const bool typed = std::ranges::any_of(headers, [](const io::HttpHeader& one) { return one.name == "Content-Type"; });
  if (!body.empty() && !typed) request.headers.push_back({"Content-Type", "application/json"});
  if (!reason_.empty() && method != "GET") request.headers.push_back({"Weir-Reason", reason_});
  for (io::HttpHeader& one : headers) request.headers.push_back(std::move(one));
  request.body = std::move(body);
  auto reply = client_->Send(std::move(request));
  if (!reply) {
    Complaint complaint = ComplaintOf(reply.error());
    // What was sent may have been done.
    if (method != "GET" && reply.error().code == ErrorCode::kDeadlineExceeded) {
      complaint.text += "\nwhether it was done is not known: look before you repeat it (weir admin revisions)";
    }
    return std::unexpected(std::move(complaint));
  }
  ServerAnswer answer{.status = reply->status, .body = std::move(reply->body), .value = {}, .etag = {}};
  answer.etag = reply->Header("etag");
  answer.value = Parsed(answer.body);
  return answer;
}

Outcome<ServerAnswer> AdminServer::Send(std::string_view method, const std::string& path, std::string body,
                                        std::vector<io::HttpHeader> headers) {
  auto answer = Ask(method, path, std::move(body), std::move(headers));
  if (answer && answer->status >= 300) return std::unexpected(ComplaintOf(answer->status, answer->body));
  return answer;
}

Outcome<ServerAnswer> AdminServer::Get(const std::string& path, const Query& query) {
  return Send("GET", WithQuery(path, query), "");
}

Outcome<ServerAnswer> AdminServer::GetIfThere(const std::string& path) {
  auto answer = Ask("GET", path, "", {});
  if (answer && answer->status != 404 && answer->status >= 300) {
    return std::unexpected(ComplaintOf(answer->status, answer->body));
  }
  return answer;
}

Outcome<json::object> AdminServer::GetAll(const std::string& path, const Query& query, std::size_t most) {
  json::object all;
  json::array items;
  std::string cursor;
  do {
    Query page = query;
    page.emplace_back("limit", std::to_string(std::min(kPage, most - items.size())));
    if (!cursor.empty()) page.emplace_back("cursor", cursor);
    auto answer = Get(path, page);
    if (!answer) return std::unexpected(answer.error());
    if (!answer->value.is_object() || !answer->value.get_object().contains("items") ||
        !answer->value.get_object()["items"].is_array()) {
      return std::unexpected(Complaint{.exit_code = kRefused, .text = "the server's answer is no list"});
    }
    json::object& body = answer->value.get_object();
    for (json::value& one : body["items"].get_array()) {
      if (items.size() < most) items.push_back(std::move(one));
    }
    cursor.clear();
    if (const json::value* next = body.if_contains("next"); next != nullptr && next->is_string()) {
      cursor = next->get_string();
    }
    body.erase("next");
    if (all.empty()) all = std::move(body);
  } while (!cursor.empty() && items.size() < most);
  all["items"] = std::move(items);
  if (!cursor.empty()) all["truncated"] = true;
  return all;
}

Outcome<> AdminServer::Events(const std::string& path, std::function<bool(std::string_view)> visit,
                              std::function<bool()> stopped) {
  io::HttpRequest request = RequestOf("GET", path);
  request.headers.push_back({"Accept", "text/event-stream"});
  EventReader reader(std::move(visit));
  auto reply =
      client_->Stream(std::move(request), [&](std::string_view part) { return reader.Take(part); }, std::move(stopped));
  if (!reply) return std::unexpected(ComplaintOf(reply.error()));
  if (reply->status >= 300) return std::unexpected(ComplaintOf(reply->status, reader.rest()));
  return {};
}

std::string Encoded(std::string_view text) {
  constexpr std::string_view kPlain = "-._~";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       kPlain.find(c) != std::string_view::npos;
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string WithQuery(const std::string& path, const Query& query) {
  std::string out = path;
  char between = '?';
  for (const auto& [name, value] : query) {
    out += between + Encoded(name) + '=' + Encoded(value);
    between = '&';
  }
  return out;
}

Complaint ComplaintOf(const Error& error) {
  const bool ours = error.code == ErrorCode::kInvalidArgument;
  return {.exit_code = ours ? kUsage : kUnreachable, .text = Printable(error.message)};
}

Complaint ComplaintOf(int status, const std::string& body) {
  Complaint complaint{.exit_code = status == 502 || status == 503 || status == 504 ? kUnreachable : kRefused};
  const json::value value = Parsed(body);
  if (!value.is_object()) {
    complaint.text =
        fmt::format("the server answered {} and does not say why: is it weir's management listener?", status);
    return complaint;
  }
  const json::object& problem = value.get_object();
  complaint.json = json::serialize(problem);
  const std::string code = TextOf(problem, "code");
  complaint.text = fmt::format("{}: {}", TextOf(problem, "title"), TextOf(problem, "detail"));
  if (const json::value* errors = problem.if_contains("errors"); errors != nullptr && errors->is_array()) {
    std::size_t told = 0;
    for (const json::value& one : errors->get_array()) {
      if (!one.is_object()) continue;
      if (told++ == kMostFaults) {
        complaint.text += fmt::format("\n  and {} more", errors->get_array().size() - kMostFaults);
        break;
      }
      const json::object& fault = one.get_object();
      const std::string path = TextOf(fault, "path"), hint = TextOf(fault, "hint");
      complaint.text += "\n  " + (path.empty() ? "" : path + ": ") + TextOf(fault, "message");
      if (const json::value* line = fault.if_contains("line"); line != nullptr && line->is_int64()) {
        complaint.text += fmt::format(" (line {})", line->get_int64());
      }
      if (!hint.empty()) complaint.text += "; " + hint;
    }
  }
  if (const std::string_view advice = Advice(status, code); !advice.empty())
    complaint.text += "\n" + std::string(advice);
  if (const std::string id = TextOf(problem, "request_id"); status >= 500 && !id.empty()) {
    complaint.text += "\nthe server's log has it as " + id;
  }
  return complaint;
}

}  // namespace weir::cli::admin
