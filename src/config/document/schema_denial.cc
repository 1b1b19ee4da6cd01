// What becomes of a request that exceeds a rule, and what its response says.
#include "config/document/schema.h"

namespace weir::config {
namespace {

Ref<std::map<std::string, std::string>> DenialHeadersType() {
  return MapOf(Text({"^[\\x20-\\x7e]{0,1000}$", "at most 1,000 printable ASCII characters", "text"}),
               {"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$", "the name of a header field", "header name"});
}

}  // namespace

Ref<Action> OnExceededType() {
  static const auto type = EnumOf<Action>({{Action::kDeny, "deny"},
                                           {Action::kWait, "wait"},
                                           {Action::kChallenge, "challenge"},
                                           {Action::kCharge, "charge"}});
  return type;
}

Ref<DenialConfig> DenialType() {
  static const Ref<DenialConfig> type = [] {
    auto record = std::make_shared<Record<DenialConfig>>(
        "denial",
        "What a response says when a rule is exceeded, beside the rate limit headers ([forms](http-api.md#denials)).");
    record
        ->With("status", &DenialConfig::status, Opt(Count32({200, 599})),
               "Its status: 400 to 599, or 200, which is answered only where the caller cannot take it for a pass.",
               "`deny` 429, `challenge` 403, `charge` 402")
        .With("body", &DenialConfig::body,
              EnumOf<DenialBody>({{DenialBody::kProblem, "problem"},
                                  {DenialBody::kPlain, "plain"},
                                  {DenialBody::kHtml, "html"},
                                  {DenialBody::kOpenai, "openai"},
                                  {DenialBody::kJsonrpc, "jsonrpc"}}),
              "Its form. `problem`: RFC 9457; `plain`: the message; `html`: a page with it; `openai`: the error object "
              "of OpenAI's API; `jsonrpc`: that of JSON-RPC 2.0.")
        .With("message", &DenialConfig::message,
              Opt(Text({"^[^\\x00-\\x08\\x0b-\\x1f\\x7f]{1,1000}$", "1 to 1,000 characters without control characters",
                        "text"})),
              "What it says.", "which limit was exceeded, and when to try again")
        .With("headers", &DenialConfig::headers, DenialHeadersType(), "Fields added to the response; at most 16.",
              "none");
    return record;
  }();
  return type;
}

}  // namespace weir::config
