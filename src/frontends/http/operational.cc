#include "frontends/http/operational.h"

#include <string>
#include <string_view>

namespace weir::http {
namespace {

constexpr std::string_view kRootText =
    "weir decides whether a request may pass.\n"
    "\n"
    "  curl -d '{\"user\":\"alice\",\"method\":\"GET\",\"path\":\"/\"}' http://ADDRESS/v1/check\n"
    "  curl -d '{\"user\":\"alice\",\"explain\":true}' http://ADDRESS/v1/peek\n"
    "  curl -i -H 'X-Original-URI: /' http://ADDRESS/v1/auth\n"
    "\n"
    "POST /v1/check /v1/check/batch /v1/peek /v1/reserve /v1/commit /v1/cancel /v1/extend /v1/refund /v1/reset\n"
    "     /v1/feedback\n"
    "ANY  /v1/auth\n"
    "GET  /livez /readyz /metrics\n"
    "Each listener answers what its `serve` lists: /v1/reset only where that says so.\n";

}  // namespace

Plain AnswerOperational(Endpoint endpoint, bool draining, const HttpOptions& options) {
  switch (endpoint) {
    case Endpoint::kLive:
      return MakeText(200, "ok\n");
    case Endpoint::kReady: {
      std::string why;
      if (draining) return MakeText(503, "draining\n");
      const bool ready = !options.ready || options.ready(&why);
      return MakeText(ready ? 200 : 503, why.empty() ? "ready\n" : why + '\n');
    }
    case Endpoint::kMetrics: {
      const auto text = options.metrics ? options.metrics() : nullptr;
      if (text == nullptr) return MakeProblem(404, "metrics are off");
      Plain plain = MakeText(200, *text);
      plain.content_type = "text/plain; version=0.0.4; charset=utf-8";
      return plain;
    }
    default:
      return MakeText(200, std::string(kRootText));
  }
}

}  // namespace weir::http
