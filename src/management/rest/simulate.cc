// What a document would decide, beside what is in force: the same requests to both, from empty counters.
#include <algorithm>
#include <boost/json.hpp>
#include <map>

#include "config/source/load.h"
#include "engine/document_faults.h"
#include "management/rest/api.h"
#include "management/rest/handlers.h"
#include "management/rest/request_body.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostRequests = 10'000;
constexpr std::size_t kMostBody = std::size_t{16} << 20;
constexpr std::size_t kMostShown = 100;
constexpr double kLongest = 366.0 * 86'400;  // seconds

// Goes as the requests say.
class ReplayClock final : public Clock {
 public:
  explicit ReplayClock(Nanos start) : start_(start), now_(start) {}
  Nanos Now() const override { return now_; }
  void SetOffset(Nanos offset) { now_ = start_ + offset; }

 private:
  const Nanos start_;
  Nanos now_;
};

struct Timed {
  Nanos at = 0;
  OwnedRequest owned;
};

std::expected<std::vector<Timed>, Problem> ReadRequests(const json::value* value) {
  if (value == nullptr || !value->is_array() || value->get_array().size() > kMostRequests) {
    return std::unexpected(InvalidBody({{.path = "requests", .message = "must be a list of at most 10000 requests"}}));
  }
  std::vector<Timed> requests;
  for (std::size_t i = 0; i < value->get_array().size(); ++i) {
    const std::string path = "requests." + std::to_string(i);
    json::value one = value->get_array()[i];
    double at = 0;
    if (one.is_object() && one.get_object().contains("at")) {
      boost::system::error_code fault;
      at = one.get_object()["at"].to_number<double>(fault);
      if (fault || !(at >= 0 && at <= kLongest)) {
        return std::unexpected(
            InvalidBody({{.path = path + ".at", .message = "must be seconds from the start, at most a year"}}));
      }
      one.get_object().erase("at");
    }
    auto owned = ReadRequest(one, path);
    if (!owned) return std::unexpected(std::move(owned.error()));
    requests.push_back({static_cast<Nanos>(at * static_cast<double>(kSecond)), std::move(*owned)});
  }
  std::ranges::stable_sort(requests, {}, &Timed::at);
  return requests;
}

struct Replayed {
  std::vector<bool> allowed;
  std::vector<std::string> decided_by;  // of those that were denied
};

Result<Replayed> Replay(const Api& api, const EnterpriseRateLimitConfig& document, const std::vector<Timed>& requests) {
  ReplayClock clock(api.options().clock->Now());
  auto engine = engine::Engine::Create(document, api.options().make_store(), {.clock = &clock, .extractors = {}});
  if (!engine) return std::unexpected(engine.error());
  Replayed replayed;
  for (const Timed& request : requests) {
    clock.SetOffset(request.at);
    engine::Call call;
    call.request = request.owned.request;
    (*engine)->Run({&call, 1});
    replayed.allowed.push_back(call.decision.allowed);
    const RuleOutcome* const decider = call.decision.decider();
    const std::string rule =
        decider != nullptr ? std::string(decider->rule) : std::string(ToString(call.decision.reason));
    replayed.decided_by.push_back(call.decision.allowed ? "" : rule);
  }
  return replayed;
}

json::object Summary(const Replayed& replayed) {
  const auto denied = static_cast<std::uint64_t>(std::ranges::count(replayed.allowed, false));
  std::map<std::string, std::uint64_t> rules;
  for (const std::string& rule : replayed.decided_by) {
    if (!rule.empty()) ++rules[rule];
  }
  json::object by_rule;
  for (const auto& [rule, count] : rules) by_rule[rule] = count;
  return {{"allowed", replayed.allowed.size() - denied}, {"denied", denied}, {"denied_by_rule", std::move(by_rule)}};
}

Answer Simulate(Api& api, Context& context) {
  const auto body = ReadObject(context.request.body, {"document", "requests"});
  if (!body) return std::unexpected(body.error());
  auto requests = ReadRequests(body->if_contains("requests"));
  if (!requests) return std::unexpected(std::move(requests.error()));
  const json::value* const candidate = body->if_contains("document");
  if (candidate == nullptr) return std::unexpected(InvalidBody({{.path = "document", .message = "is missing"}}));
  const std::string text = json::serialize(*candidate);
  if (auto refused = RefuseHostAccess(text)) return std::unexpected(std::move(*refused));
  ParsedConfig parsed = ParseConfig(text);
  std::vector<BodyFault> faults;
  for (const Fault& fault : parsed.faults) {
    if (fault.severity != Severity::kError) continue;
    faults.push_back({.path = "document." + fault.path, .message = fault.message, .hint = fault.hint});
  }
  if (!faults.empty()) return std::unexpected(InvalidBody(std::move(faults)));
  const auto tried = Replay(api, parsed.config, *requests);
  if (!tried) return std::unexpected(InvalidBody({{.path = "document", .message = tried.error().message}}));
  const auto now = Replay(api, api.options().engine->snapshot()->Written(), *requests);
  if (!now) return std::unexpected(ProblemOf(now.error()));
  json::array newly_denied, newly_allowed;
  std::uint64_t more_denied = 0, more_allowed = 0;
  for (std::size_t i = 0; i < requests->size(); ++i) {
    if (tried->allowed[i] == now->allowed[i]) continue;
    const Request& request = (*requests)[i].owned.request;
    json::object one{{"user", request.user}, {"ip", request.peer_ip}, {"path", request.path}};
    one["rule"] = tried->allowed[i] ? now->decided_by[i] : tried->decided_by[i];
    ++(tried->allowed[i] ? more_allowed : more_denied);
    json::array& list = tried->allowed[i] ? newly_allowed : newly_denied;
    if (list.size() < kMostShown) list.push_back(std::move(one));
  }
  json::object out{{"document", Summary(*tried)},
                   {"in_force", Summary(*now)},
                   {"newly_denied", more_denied},
                   {"newly_allowed", more_allowed},
                   {"newly_denied_requests", std::move(newly_denied)},
                   {"newly_allowed_requests", std::move(newly_allowed)}};
  return JsonResponse(200, json::serialize(out));
}

}  // namespace

void AddSimulateRoutes(std::vector<Route>& routes) {
  routes.push_back(
      {.method = "POST",
       .path = "/simulate",
       .operation = "simulate",
       .summary = "Replay requests against a document and against what is in force: who would be denied then.",
       .verb = Verb::kRun,
       .resource = Resource::kSimulate,
       .handler = Simulate,
       .body = BodyKind::kJson,
       .max_body = kMostBody,
       .request_schema = "Simulation",
       .heavy = true,
       .asks_only = true});
}

}  // namespace weir::management::rest
