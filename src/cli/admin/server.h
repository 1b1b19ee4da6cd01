// The management API of one server, as commands ask it.
#pragma once

#include <boost/json/value.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cli/admin/contexts.h"
#include "cli/admin/outcome.h"
#include "io/https/http_client.h"

namespace weir::cli::admin {

// What all commands take.
struct CommonOptions {
  std::string context = {};  // --context; empty: the environment, else the current one
  bool json = false;         // --json
  bool yes = false;          // --yes
  std::string reason = {};   // --reason
};

// --context names it; else WEIR_ADMIN_URL; else the current context; else http://127.0.0.1:8089. The token is
// WEIR_ADMIN_TOKEN unless --context is given, else the context's: one server's token is never sent to another by
// mistake.
Outcome<ServerContext> FindServer(const std::string& context);

// "127.0.0.1:8089" -> "http://127.0.0.1:8089", "weir.example" -> "https://weir.example"; a '/' at the end is dropped.
// http:// to another machine is refused unless `plaintext`: the token would cross the network as it is.
Outcome<std::string> NormalUrl(std::string_view url, bool plaintext);

struct ServerAnswer {
  int status = 0;
  std::string body = {};
  boost::json::value value = {};  // null: the body is empty or no JSON
  std::string etag = {};
};

using Query = std::vector<std::pair<std::string, std::string>>;

// One thread at a time.
class AdminServer {
 public:
  static Outcome<AdminServer> Connect(const CommonOptions& options, Nanos timeout = 30 * kSecond);
  AdminServer(ServerContext server, std::string reason, Nanos timeout);

  // `path`: below /admin/v1, encoded: "/users/alice". A status of 400 and above is a complaint that says why.
  Outcome<ServerAnswer> Get(const std::string& path, const Query& query = {});
  // `body` of JSON; empty: none.
  Outcome<ServerAnswer> Send(std::string_view method, const std::string& path, std::string body,
                             std::vector<io::HttpHeader> headers = {});
  // The same, and 404 is an answer.
  Outcome<ServerAnswer> GetIfThere(const std::string& path);
  // Every page of a list; `most` items at most, and "truncated" when there are more. {"items": [...]} as one, with the
  // first page's other members.
  Outcome<boost::json::object> GetAll(const std::string& path, const Query& query, std::size_t most);
  // The data of server-sent events; false ends the stream.
  Outcome<> Events(const std::string& path, std::function<bool(std::string_view data)> visit,
                   std::function<bool()> stopped);

  const std::string& url() const { return server_.url; }

 private:
  Outcome<ServerAnswer> Ask(std::string_view method, const std::string& path, std::string body,
                            std::vector<io::HttpHeader> headers);
  io::HttpRequest RequestOf(std::string_view method, const std::string& path) const;

  ServerContext server_;
  std::string reason_;
  std::unique_ptr<io::HttpClient> client_;
};

// One segment of a path or a part of a query, percent-encoded.
std::string Encoded(std::string_view text);
std::string WithQuery(const std::string& path, const Query& query);

// What people are told of an answer of 400 and above, and the exit code.
Complaint ComplaintOf(int status, const std::string& body);
// Of a request that got no answer.
Complaint ComplaintOf(const Error& error);

// The exit code of a command: what was wrong is told.
template <typename T>
int ExitCode(const Outcome<T>& outcome, bool json) {
  return outcome ? kDone : Complain(outcome.error(), json);
}

}  // namespace weir::cli::admin
