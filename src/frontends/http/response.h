// Answers, as bytes appended to a connection's output.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "engine/engine.h"
#include "frontends/http/batch.h"

namespace weir::http {

// How an answer ends.
struct Framing {
  bool close = false;      // "Connection: close"
  int minor_version = 1;   // of the request: 1.0 must be told of a connection that stays
  bool head_only = false;  // the request was HEAD
};

// An answer that needs no decision.
struct Plain {
  int status = 200;
  std::string_view content_type = "text/plain; charset=utf-8";
  std::string body;
  std::string headers;  // further lines, each with its CRLF
};
Plain MakeText(int status, std::string text);
// application/problem+json
Plain MakeProblem(int status, std::string_view detail);
// The denial of a forward-auth question that the client tampered with.
Plain MakeForgeryDenial(int deny_status, std::string_view detail);

void AppendPlain(const Plain& plain, const Framing& framing, Nanos now, std::string* out);
// The answer to `pending`, whose calls in `batch` are complete.
void AppendAnswer(const Batch& batch, const Pending& pending, Nanos now, std::string* out);

}  // namespace weir::http
