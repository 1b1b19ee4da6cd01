// The management listener's HTTP: health and metrics are answered at once, the API by workers. One request of a
// connection is worked on at a time; its next is read when that is answered.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "management/rest/message.h"
#include "net/session.h"

namespace weir::management::rest {

// Functions are called on the event loop, but for `handle`.
struct SessionOptions {
  const Clock* clock = nullptr;
  std::uint32_t max_headers = 100;
  std::uint32_t max_body_bytes = 16 << 20;
  std::function<bool(std::string* why)> ready;
  std::function<std::shared_ptr<const std::string>()> metrics;  // nullptr: off
  // Whether the presented credentials may read the metrics. Not set: everybody may.
  std::function<bool(const ApiHeaders&)> may_scrape;
  std::function<bool()> leaving;
  // The API. Not set: management is off, and `off_reason` says why (503).
  std::function<ApiResponse(ApiRequest)> handle;
  std::string off_reason;
  // Runs a task on a worker; `heavy`: it may take long. False: too many wait.
  std::function<bool(bool heavy, std::function<void()> task)> work;
  std::function<bool(const ApiRequest&)> is_heavy;
  // The next event of a stream, or nullptr: it is not allowed (any more). Asked once a second.
  std::function<std::shared_ptr<const std::string>(const ApiRequest&)> event;
};

// `options` outlive the sessions.
std::unique_ptr<net::Session> MakeManagementSession(net::Connection& connection, const SessionOptions& options);

}  // namespace weir::management::rest
