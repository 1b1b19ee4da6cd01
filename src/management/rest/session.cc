#include "management/rest/session.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "base/ascii.h"
#include "base/name.h"
#include "http/query.h"
#include "http/request_parser.h"
#include "http/response.h"
#include "management/rest/problem.h"

namespace weir::management::rest {
namespace {

constexpr std::uint32_t kEventEvery = 1000;           // ms
constexpr std::size_t kMostUnsentEvents = 256 << 10;  // a reader this slow misses events

constexpr std::string_view kRootText =
    "weir's management listener.\n"
    "\n"
    "GET /livez /readyz /metrics\n"
    "ANY /admin/v1/...   (Authorization: Bearer TOKEN; GET /admin/v1/openapi.json describes it)\n";

void AddHeader(std::string& field, std::string_view value, std::string_view between) {
  if (!field.empty()) field += between;
  field += value;
}

ApiHeaders HeadersOf(const http::RequestHead& head) {
  ApiHeaders headers;
  const std::pair<std::string_view, std::string*> known[] = {{"authorization", &headers.authorization},
                                                             {"cookie", &headers.cookie},
                                                             {"x-csrf-token", &headers.csrf},
                                                             {"host", &headers.host},
                                                             {"origin", &headers.origin},
                                                             {"sec-fetch-site", &headers.sec_fetch_site},
                                                             {"content-type", &headers.content_type},
                                                             {"if-match", &headers.if_match},
                                                             {"if-none-match", &headers.if_none_match},
                                                             {"idempotency-key", &headers.idempotency_key},
                                                             {"user-agent", &headers.user_agent},
                                                             {"weir-reason", &headers.reason}};
  for (const Attribute& header : head.headers) {
    for (const auto& [name, field] : known) {
      if (EqualsIgnoreCase(header.name, name)) AddHeader(*field, header.value, name == "cookie" ? "; " : ", ");
    }
  }
  return headers;
}

class ManagementSession final : public net::Session {
 public:
  ManagementSession(net::Connection& connection, const SessionOptions& options)
      : connection_(connection),
        options_(options),
        parser_({.max_header_count = options.max_headers, .max_body_bytes = options.max_body_bytes}) {}

  std::size_t OnInput(std::string_view input) override;
  void OnDrain() override;
  void OnWake() override;
  std::size_t held() const override { return held_; }

 private:
  struct Answer {
    bool close = false;
    int minor_version = 1;
    bool head_only = false;
  };

  // True: the answer is written or will be; false: the connection waits for a worker.
  bool Handle();
  void Operational(std::string_view path);
  void Ask(ApiRequest request);
  void Finish(const ApiResponse& response);
  void WritePlain(const http::Plain& plain);
  void WriteOff();
  bool Leaves() const { return connection_.draining() || (options_.leaving && options_.leaving()); }

  net::Connection& connection_;
  const SessionOptions& options_;
  http::RequestParser parser_;
  Answer answer_;         // of the request in hand
  bool waiting_ = false;  // a worker has the request
  bool closing_ = false;  // the last answer is written or on its way
  bool streaming_ = false;
  bool continued_ = false;
  std::size_t left_ = 0;  // input that the last OnInput did not consume
  std::size_t held_ = 0;  // bytes of the request that a worker has
  ApiRequest stream_;     // by whose credentials events are sent
};

std::size_t ManagementSession::OnInput(std::string_view input) {
  if (waiting_) return 0;
  if (closing_ || streaming_) return input.size();
  std::size_t consumed = 0;
  while (!closing_ && !waiting_ && !streaming_) {
    const std::string_view rest = input.substr(consumed);
    const http::RequestParser::Status status = parser_.Parse(rest);
    if (status == http::RequestParser::Status::kIncomplete) {
      if (parser_.expects_continue() && !continued_) {
        connection_.output().append("HTTP/1.1 100 Continue\r\n\r\n");
        continued_ = true;
      }
      break;
    }
    if (status == http::RequestParser::Status::kError) {
      closing_ = true;
      answer_ = {.close = true};
      WritePlain(http::MakeProblem(parser_.error().status, parser_.error().detail));
      break;
    }
    const bool last = !parser_.head().keep_alive || (Leaves() && rest.size() == parser_.size());
    answer_ = {
        .close = last, .minor_version = parser_.head().minor_version, .head_only = parser_.head().method == "HEAD"};
    const std::size_t size = parser_.size();
    const bool answered = Handle();
    closing_ = last;
    consumed += size;
    parser_.Reset();
    continued_ = false;
    if (!answered) {
      waiting_ = true;
      connection_.Pause();
    }
  }
  if (closing_ && !waiting_ && !streaming_) {
    connection_.CloseAfterFlush();
    consumed = input.size();
  }
  left_ = input.size() - consumed;
  return consumed;
}

bool ManagementSession::Handle() {
  const http::RequestHead& head = parser_.head();
  const std::string_view path = http::TargetPath(head.target);
  if (path != "/admin/v1" && !path.starts_with("/admin/v1/")) {
    Operational(path);
    return true;
  }
  if (!options_.handle) {
    WriteOff();
    return true;
  }
  if (head.has_content_encoding) {
    WritePlain(http::MakeProblem(415, "a compressed body is not accepted"));
    return true;
  }
  ApiRequest request{.method = std::string(head.method),
                     .target = std::string(head.target),
                     .headers = HeadersOf(head),
                     .body = std::string(parser_.body()),
                     .peer = std::string(connection_.peer_address()),
                     .certificate = NamesIn(connection_.peer_certificate()),
                     .request_id = {}};
  const bool heavy = options_.is_heavy && options_.is_heavy(request);
  const std::size_t size = request.body.size() + request.target.size() + 1024;
  stream_ = {.method = "GET",
             .target = {},
             .headers = request.headers,
             .body = {},
             .peer = request.peer,
             .certificate = request.certificate,
             .request_id = {}};
  // The session may end meanwhile; the task looks at it only on the loop, where Post() knows whether it still lives.
  auto task = [this, &options = options_, connection = connection_.Share(), request = std::move(request)]() mutable {
    auto response = std::make_shared<ApiResponse>(options.handle(std::move(request)));
    connection->Post([this, response] { Finish(*response); });
  };
  if (!options_.work(heavy, std::move(task))) {
    http::Plain plain = http::MakeProblem(503, "too many requests wait for a worker; ask again");
    plain.headers = "Retry-After: 1\r\n";
    WritePlain(plain);
    return true;
  }
  held_ = size;
  return false;
}

void ManagementSession::Operational(std::string_view path) {
  const std::string_view method = parser_.head().method;
  if (path != "/livez" && path != "/readyz" && path != "/metrics" && path != "/") {
    return WritePlain(http::MakeProblem(404, "there is no such path; GET / lists those that there are"));
  }
  if (method != "GET" && method != "HEAD") {
    http::Plain plain = http::MakeProblem(405, "this path does not know the method");
    plain.headers = "Allow: GET, HEAD\r\n";
    return WritePlain(plain);
  }
  if (path == "/livez") return WritePlain(http::MakeText(200, "ok\n"));
  if (path == "/readyz") {
    std::string why;
    if (connection_.draining()) return WritePlain(http::MakeText(503, "draining\n"));
    const bool ready = !options_.ready || options_.ready(&why);
    return WritePlain(http::MakeText(ready ? 200 : 503, why.empty() ? "ready\n" : why + '\n'));
  }
  if (path == "/") return WritePlain(http::MakeText(200, std::string(kRootText)));
  if (options_.may_scrape && !options_.may_scrape(HeadersOf(parser_.head()))) {
    http::Plain plain = http::MakeProblem(401, "a token is needed: Authorization: Bearer TOKEN");
    plain.headers = "WWW-Authenticate: Bearer\r\nCache-Control: no-store\r\n";
    return WritePlain(plain);
  }
  const auto text = options_.metrics ? options_.metrics() : nullptr;
  if (text == nullptr) return WritePlain(http::MakeProblem(404, "metrics are off"));
  http::Plain plain = http::MakeText(200, *text);
  plain.content_type = "text/plain; version=0.0.4; charset=utf-8";
  WritePlain(plain);
}

void ManagementSession::WriteOff() {
  Finish(ToResponse({.status = 503, .code = "management_off", .detail = options_.off_reason}, ""));
}

void ManagementSession::WritePlain(const http::Plain& plain) {
  http::AppendPlain(plain, {answer_.close, answer_.minor_version, answer_.head_only}, options_.clock->Wall(),
                    &connection_.output());
}

// Also called from WriteOff(), while input is being read.
void ManagementSession::Finish(const ApiResponse& response) {
  std::string& out = connection_.output();
  http::BeginResponse(response.status, options_.clock->Wall(), &out);
  for (const auto& [name, value] : response.headers) out.append(name).append(": ").append(value).append("\r\n");
  out.append("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
  const bool was_waiting = std::exchange(waiting_, false);
  held_ = 0;
  if (response.stream && !answer_.head_only) {
    // Ends when the connection does: no length.
    streaming_ = true;
    out.append("Content-Type: text/event-stream\r\nConnection: close\r\n\r\n").append(response.body);
    connection_.WakeAfter(kEventEvery);
    connection_.Flush();
    return;
  }
  if (was_waiting && !closing_ && connection_.draining() && left_ == 0) closing_ = answer_.close = true;
  http::EndResponse(response.body.empty() ? "" : response.content_type, response.body,
                    {answer_.close, answer_.minor_version, answer_.head_only}, &out);
  if (!was_waiting) return;
  if (closing_) return connection_.CloseAfterFlush();
  connection_.Flush();
  connection_.Resume();
}

void ManagementSession::OnWake() {
  if (!streaming_) return;
  const auto event = options_.event ? options_.event(stream_) : nullptr;
  if (event == nullptr || connection_.draining()) {
    streaming_ = false;
    closing_ = true;
    return connection_.CloseAfterFlush();
  }
  if (connection_.output().size() < kMostUnsentEvents) connection_.output().append(*event);
  connection_.WakeAfter(kEventEvery);
  connection_.Flush();
}

void ManagementSession::OnDrain() {
  if (waiting_ || closing_ || left_ > 0) return;
  closing_ = true;
  connection_.CloseAfterFlush();
}

}  // namespace

std::unique_ptr<net::Session> MakeManagementSession(net::Connection& connection, const SessionOptions& options) {
  return std::make_unique<ManagementSession>(connection, options);
}

}  // namespace weir::management::rest
