// A client that waits for its answers: for commands and workers, never for event loops.
//
// Errors: kInvalidArgument (the request, the URL or a file of the options is wrong), kFailedPrecondition (the
// certificate is not trusted, or the address may not be reached), kDeadlineExceeded, kResourceExhausted (the answer is
// larger than HttpOptions allows), kUnavailable (no connection, or it broke). Any status is an answer, not an error.
// Messages name scheme, host and port, never the rest of the URL, a header or a body.
#pragma once

#include <functional>
#include <string_view>

#include "io/https/http_exchange.h"
#include "io/https/transfer.h"
#include "weir/result.h"

namespace weir::io {

// One thread at a time. Connections are kept for the next request.
class HttpClient {
 public:
  explicit HttpClient(HttpOptions options) : options_(std::move(options)) {}

  Result<HttpReply> Send(HttpRequest request);
  // The body's parts go to `visit` as they come (HttpReply::body stays empty), without a bound on all together; false
  // ends the exchange, which is no error. `stopped` is asked once a second at least, and after a signal; true ends it
  // as well. HttpOptions::timeout does not hold.
  Result<HttpReply> Stream(HttpRequest request, std::function<bool(std::string_view)> visit,
                           std::function<bool()> stopped);

  const HttpOptions& options() const { return options_; }

 private:
  const HttpOptions options_;
  Transfer transfer_;
};

}  // namespace weir::io
