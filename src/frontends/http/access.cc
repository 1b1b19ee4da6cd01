#include "frontends/http/access.h"

#include <string>

#include "base/ascii.h"
#include "frontends/http/browser.h"

namespace weir::http {
namespace {

// Of several, each must be right: a proxy may have passed on its visitor's beside its own.
bool HasToken(const RequestHead& head, const SecretSet& tokens) {
  bool own = false, own_right = true, bearer = false, bearer_right = true;
  for (const Attribute& header : head.headers) {
    if (EqualsIgnoreCase(header.name, "x-weir-token")) {
      own = true;
      own_right &= tokens.Has(header.value);
    } else if (EqualsIgnoreCase(header.name, "authorization")) {
      bearer = true;
      bearer_right &= tokens.Has(BearerToken(header.value));
    }
  }
  // What is in Authorization may be meant for the site that a proxy asks about.
  return own ? own_right : bearer && bearer_right;
}

}  // namespace

std::optional<Plain> RefuseRequest(const Route* route, const AccessQuestion& question, const HttpOptions& options) {
  const RequestHead& head = question.head;
  if (route == nullptr) return MakeProblem(404, "there is no such path; GET / lists those that there are");
  // A client without a token must not learn what is served.
  const bool is_health = route->endpoint == Endpoint::kLive || route->endpoint == Endpoint::kReady;
  if (!options.tokens.empty() && !is_health && !HasToken(head, options.tokens)) {
    if (options.guard != nullptr) options.guard->Failed(question.peer, question.now);
    Plain plain = MakeProblem(401, "a token is needed: Authorization: Bearer TOKEN, or X-Weir-Token: TOKEN");
    plain.headers = "WWW-Authenticate: Bearer\r\nCache-Control: no-store\r\n";
    return plain;
  }
  if ((route->serve & ~options.serve) != 0) {
    std::string why = "this listener does not serve ";
    why.append(route->path).append(": '").append(route->name).append("' is not among its `serve`");
    return MakeProblem(403, why);
  }
  if (!Allows(route->methods, head.method)) {
    Plain plain = MakeProblem(405, "this path does not know the method");
    plain.headers.append("Allow: ").append(AllowedMethods(route->methods)).append("\r\n");
    return plain;
  }
  if (route->methods == Methods::kPost) {
    if (const std::string_view why = WhyForeign(head); !why.empty()) return MakeProblem(403, why);
  }
  return std::nullopt;
}

}  // namespace weir::http
