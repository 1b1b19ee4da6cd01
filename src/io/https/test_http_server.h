// An HTTP server of a test's own, in this process, on a free loopback port or a Unix socket. Tests only.
#pragma once

#include <charconv>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ascii.h"
#include "net/server.h"

namespace weir::io {

struct SeenRequest {
  std::string method, target, body;
  std::map<std::string, std::string> headers;  // names in lower case
};

// A whole answer with its length.
inline std::string TestAnswer(int status, std::string_view body, std::string_view headers = "",
                              std::string_view type = "application/json") {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: " + std::string(type) +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + std::string(headers) + "\r\n" +
         std::string(body);
}

class TestHttpServer {
 public:
  // Gives the bytes of an answer; empty: none ever comes. One with "Connection: close" ends the connection.
  using Handler = std::function<std::string(const SeenRequest&)>;

  explicit TestHttpServer(Handler handler, const std::string& address = "127.0.0.1:0",
                          std::unique_ptr<net::TlsOptions> tls = nullptr)
      : handler_(std::move(handler)) {
    std::vector<net::ListenerOptions> listeners(1);
    listeners[0].name = "test";
    listeners[0].address = address;
    listeners[0].tls = std::move(tls);
    listeners[0].sessions = [this](net::Connection& connection) {
      return std::make_unique<OneSession>(*this, connection);
    };
    auto server = net::Server::Start({.threads = 1}, std::move(listeners));
    if (!server) throw std::runtime_error(server.error().message);
    server_ = std::move(*server);
  }

  std::string address() const { return server_->addresses().front(); }  // "127.0.0.1:40123"
  std::vector<SeenRequest> seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  class OneSession final : public net::Session {
   public:
    OneSession(TestHttpServer& server, net::Connection& connection) : server_(server), connection_(connection) {}
    std::size_t OnInput(std::string_view input) override {
      const std::size_t end = input.find("\r\n\r\n");
      if (end == std::string_view::npos) return 0;
      SeenRequest request;
      std::string_view head = input.substr(0, end + 2);
      const std::string_view first = head.substr(0, head.find("\r\n"));
      head.remove_prefix(first.size() + 2);
      request.method = first.substr(0, first.find(' '));
      request.target = first.substr(request.method.size() + 1, first.rfind(' ') - request.method.size() - 1);
      while (!head.empty()) {
        const std::string_view line = head.substr(0, head.find("\r\n"));
        head.remove_prefix(line.size() + 2);
        const std::size_t colon = line.find(':');
        std::string_view value = line.substr(colon + 1);
        while (value.starts_with(' ')) value.remove_prefix(1);
        request.headers[LowerCase(std::string(line.substr(0, colon)))] = value;
      }
      std::size_t length = 0;
      if (const auto found = request.headers.find("content-length"); found != request.headers.end()) {
        std::from_chars(found->second.data(), found->second.data() + found->second.size(), length);
      }
      if (input.size() < end + 4 + length) return 0;
      request.body = input.substr(end + 4, length);
      {
        const std::lock_guard lock(server_.mutex_);
        server_.seen_.push_back(request);
      }
      const std::string answer = server_.handler_(request);
      connection_.output().append(answer);
      if (answer.find("Connection: close") != std::string::npos) connection_.CloseAfterFlush();
      return end + 4 + length;
    }
    void OnDrain() override { connection_.CloseAfterFlush(); }

   private:
    TestHttpServer& server_;
    net::Connection& connection_;
  };

  const Handler handler_;
  mutable std::mutex mutex_;
  std::vector<SeenRequest> seen_;
  std::unique_ptr<net::Server> server_;  // last: its thread uses the others
};

}  // namespace weir::io
