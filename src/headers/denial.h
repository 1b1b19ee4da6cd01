// What a response says instead of what was asked for: its status, its body and its fields, as the rule that decided
// wants them (DenialConfig). Everything is appended to a string that its owner keeps.
#pragma once

#include <string>
#include <string_view>

#include "weir/decision.h"

namespace weir::headers {

// The status that a denial means: the rule's own, else UsualStatusOf().
int StatusOfDenial(const Decision& decision);
// 402 for a charge, 403 for a challenge and a block, else 429.
int UsualStatusOf(const Decision& decision);

// The deciding rule wants a denial's body as the basic limiter wrote it.
bool WantsBasicBody(const Decision& decision);
// The form of the body besides that.
DenialBody BodyOf(const Decision& decision);
std::string_view ContentTypeOf(DenialBody body);

// The rule's own message, else a sentence or two: which limit, and when to try again.
void AppendMessage(const Decision& decision, std::string* out);

// {"type":...,"title":...,"status":429,"detail":...,"violated-policies":[...], without its brace at the end: the
// members of the caller may follow.
void BeginProblem(const Decision& decision, int status, std::string* out);

// A whole body in any form. `rpc_id`: of kJsonrpc, the id of the request, as text; empty: not known.
void AppendDenialBody(const Decision& decision, int status, std::string_view rpc_id, std::string* out);

// {"error":{"code":"RATE_LIMIT_EXCEEDED","message":"Rate limit exceeded. Try again in 42
// seconds.","limit":1,"current":2,
//  "reset_time":42}}
void AppendBasicDenial(const Decision& decision, std::string* out);

// The fields that the rule adds to a denied response, as lines.
void AppendDenialHeaders(const Decision& decision, std::string* out);
// X-Weir-Action, and for a wait X-Weir-Delay-Ms: nothing for kAllow and kDeny, which are told otherwise.
void AppendActionHeaders(const Decision& decision, std::string* out);

// Milliseconds until a denied request may be tried again; 0 with nothing to wait for.
std::uint64_t RetryAfterMilliseconds(const Decision& decision);

}  // namespace weir::headers
