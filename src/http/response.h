// HTTP/1.1 responses, as bytes appended to a connection's output.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"

namespace weir::http {

inline constexpr std::string_view kJson = "application/json";
inline constexpr std::string_view kProblemJson = "application/problem+json";

// How a response ends.
struct Framing {
  bool close = false;      // "Connection: close"
  int minor_version = 1;   // of the request: 1.0 must be told of a connection that stays
  bool head_only = false;  // the request was HEAD
};

// The status line and Date. Header lines may follow, then EndResponse.
void BeginResponse(int status, Nanos now, std::string* out);
// The headers that frame the body, and the body. No content type: pass "".
void EndResponse(std::string_view content_type, std::string_view body, const Framing& framing, std::string* out);

// A whole response, of plain data.
struct Plain {
  int status = 200;
  std::string_view content_type = "text/plain; charset=utf-8";
  std::string body;
  std::string headers;  // further lines, each with its CRLF
};
Plain MakeText(int status, std::string text);
// application/problem+json
Plain MakeProblem(int status, std::string_view detail);
void AppendPlain(const Plain& plain, const Framing& framing, Nanos now, std::string* out);

// An RFC 9457 problem without a type of its own.
void AppendProblem(int status, std::string_view detail, std::string* out);
// "Too Many Requests"; "Unknown" for a status without a registered phrase.
std::string_view ReasonPhrase(int status);

}  // namespace weir::http
