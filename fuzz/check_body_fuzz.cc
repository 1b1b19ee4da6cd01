// The JSON bodies of the HTTP API: whatever is accepted must be JSON to another reader too, and an error names a path.
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "frontends/http/check_body.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

template <typename Read>
void Try(std::string_view json, Read&& read) {
  std::vector<char> text(json.begin(), json.end());
  text.push_back('\0');
  std::string error;
  if (!read(text.data(), json.size(), &error)) {
    Require(error.starts_with("$"));
    return;
  }
  if (json.empty()) return;
  boost::system::error_code fault;
  boost::json::parse(json, fault);
  Require(!fault);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace http = weir::http;
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  Try(json, [](char* text, std::size_t length, std::string* error) {
    http::ParsedRequest parsed;
    std::vector<weir::Attribute> pairs;
    const bool read = http::ReadRequestBody(text, length, &parsed, &pairs, error);
    Require(!read || parsed.headers.begin + parsed.headers.count <= pairs.size());
    Require(!read || parsed.attributes.begin + parsed.attributes.count <= pairs.size());
    return read;
  });
  Try(json, [](char* text, std::size_t length, std::string* error) {
    http::ParsedRequest parsed;
    weir::engine::Feedback feedback;
    std::vector<weir::Attribute> pairs;
    const bool read = http::ReadFeedbackBody(text, length, &parsed, &feedback, &pairs, error);
    Require(feedback.latency >= 0);
    return read;
  });
  Try(json, [](char* text, std::size_t length, std::string* error) {
    std::vector<http::ParsedRequest> parsed;
    std::vector<weir::Attribute> pairs;
    const bool read = http::ReadBatchBody(text, length, &parsed, &pairs, error);
    Require(parsed.size() <= http::kMaxBatch);
    return read;
  });
  Try(json, [](char* text, std::size_t length, std::string* error) {
    http::Settlement settlement;
    return http::ReadCommitBody(text, length, &settlement, error);
  });
  Try(json, [](char* text, std::size_t length, std::string* error) {
    http::Settlement settlement;
    return http::ReadCancelBody(text, length, &settlement, error);
  });
  return 0;
}
