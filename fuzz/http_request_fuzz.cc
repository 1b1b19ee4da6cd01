// A connection's bytes, cut as the first byte says: through the request parser, whose result must not depend on the
// cuts, and through a whole session with an engine behind it, which must answer HTTP whatever comes.
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/manual_clock.h"
#include "engine/engine.h"
#include "frontends/http/session.h"
#include "http/request_parser.h"
#include "net/fake_connection.h"
#include "storage/memory/memory_store.h"
#include "weir/config.h"

namespace {

using weir::http::ParserLimits;
using weir::http::RequestParser;

constexpr ParserLimits kLimits{
    .max_request_line = 256, .max_header_bytes = 1024, .max_header_count = 16, .max_body_bytes = 4096};

void Require(bool holds) {
  if (!holds) std::abort();
}

std::string Parse(std::string_view stream, std::size_t cut) {
  RequestParser parser(kLimits);
  std::string told, input;
  while (true) {
    const std::vector<char> exact(input.begin(), input.end());
    const RequestParser::Status status = parser.Parse({exact.data(), exact.size()});
    if (status == RequestParser::Status::kError) return told + std::to_string(parser.error().status);
    if (status == RequestParser::Status::kComplete) {
      told.append(parser.head().method).append(" ").append(parser.head().target);
      for (const weir::Attribute& header : parser.head().headers) {
        told.append("|").append(header.name).append("=").append(header.value);
      }
      told.append("|").append(parser.body()).append(";");
      Require(parser.size() > 0 && parser.size() <= input.size());
      input.erase(0, parser.size());
      parser.Reset();
      continue;
    }
    if (stream.empty()) return told;
    input.append(stream.substr(0, cut));
    stream.remove_prefix(std::min(cut, stream.size()));
  }
}

weir::engine::Engine& Engine() {
  static const auto engine = [] {
    static weir::ManualClock clock;
    weir::RateLimitRule rule;
    rule.max_requests = 3;
    rule.window_seconds = 60;
    rule.identifier = weir::EnhancedIdentifier{weir::UserId{.tier_field = {}, .fallback_to_ip = true}};
    weir::EnterpriseRateLimitConfig config;
    config.global.free_tier = config.global.pro_tier = config.global.enterprise_tier = rule;
    weir::engine::EngineOptions options;
    options.clock = &clock;
    auto store = weir::storage::memory::MemoryStore::Create({.max_entries = 1'000});
    return std::move(*weir::engine::Engine::Create(config, std::move(*store), std::move(options)));
  }();
  return *engine;
}

// Every answer is complete HTTP, and what calls itself JSON is JSON.
void CheckAnswers(std::string_view output) {
  while (!output.empty()) {
    Require(output.starts_with("HTTP/1.1 "));
    const std::size_t end = output.find("\r\n\r\n");
    Require(end != std::string_view::npos);
    const std::string_view head = output.substr(0, end + 2);
    output.remove_prefix(end + 4);
    if (head.starts_with("HTTP/1.1 100 ")) continue;
    const std::size_t at = head.find("\r\nContent-Length: ");
    Require(at != std::string_view::npos);
    const std::size_t length = std::strtoul(head.data() + at + 18, nullptr, 10);
    // An answer to HEAD tells a length and has no body.
    if (output.size() < length || output.starts_with("HTTP/1.1 ")) continue;
    if (length > 0 && head.find("json\r\n") != std::string_view::npos) {
      boost::system::error_code fault;
      boost::json::parse(output.substr(0, length), fault);
      Require(!fault);
    }
    output.remove_prefix(length);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t cut = 1 + data[0] % 64;
  const std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  Require(Parse(stream, cut) == Parse(stream, size));

  weir::http::HttpOptions options;
  options.engine = &Engine();
  options.serve = weir::http::kServeAll;
  options.max_request_line = kLimits.max_request_line;
  options.max_header_bytes = kLimits.max_header_bytes;
  options.max_headers = kLimits.max_header_count;
  options.max_body_bytes = kLimits.max_body_bytes;
  weir::net::FakeConnection connection;
  const auto session = weir::http::MakeHttpSession(connection, options);
  connection.Attach(session.get());
  for (std::string_view rest = stream; !rest.empty(); rest.remove_prefix(std::min(cut, rest.size()))) {
    connection.Receive(rest.substr(0, cut));
    while (connection.RunPosted() > 0) {
    }
  }
  connection.StartDrain();
  CheckAnswers(connection.TakeOutput());
  return 0;
}
