#include "management/rest/rollouts/comparison.h"

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <string_view>
#include <vector>

#include "base/log.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

// Entities of one change: what is applied at once is compiled at once.
constexpr std::size_t kMostEntities = 100'000;

}  // namespace

// Goes as the recorded decisions say.
class Comparison::ReplayClock final : public Clock {
 public:
  Nanos Now() const override { return now_.load(std::memory_order_relaxed); }
  // Threads record a little out of order: it does not go back.
  void Set(Nanos now) { now_.store(std::max(now, Now()), std::memory_order_relaxed); }

 private:
  std::atomic<Nanos> now_{kSecond};
};

Comparison::Comparison() : clock_(std::make_unique<ReplayClock>()) {}
Comparison::~Comparison() = default;

Result<std::unique_ptr<Comparison>> Comparison::Create(const EnterpriseRateLimitConfig& in_force,
                                                       const EnterpriseRateLimitConfig& candidate,
                                                       const MakeStore& make_store) {
  std::unique_ptr<Comparison> made(new Comparison());
  const auto engine_of = [&](const EnterpriseRateLimitConfig& policy) -> Result<std::unique_ptr<engine::Engine>> {
    auto store = make_store();
    if (store == nullptr) return Fail(ErrorCode::kResourceExhausted, "there is no memory to replay decisions in");
    return engine::Engine::Create(policy, std::move(store), {.clock = made->clock_.get(), .extractors = {}});
  };
  auto first = engine_of(in_force);
  if (!first) return std::unexpected(first.error());
  auto second = engine_of(candidate);
  if (!second) return std::unexpected(second.error());
  made->in_force_ = std::move(*first);
  made->candidate_ = std::move(*second);
  return made;
}

void Comparison::LearnEntities(const analytics::Recorder& recorder, const config::Snapshot& around) {
  std::vector<config::EntityChange> changes;
  const auto learn_tenant = [&](std::string_view name) {
    if (name.empty() || tenants_.size() >= kMostEntities || tenants_.contains(name)) return;
    tenants_.emplace(name);
    const config::TenantEntry* const entry = around.FindTenant(name);
    if (entry != nullptr) changes.push_back(config::EntityChange::Put(std::string(name), entry->of->Written()));
  };
  recorder.Visit(next_, [&](const analytics::RecordedDecision& one) {
    learn_tenant(one.request.tenant);
    const std::string_view name = one.request.user;
    if (name.empty() || users_.size() >= kMostEntities || users_.contains(name)) return true;
    users_.emplace(name);
    const config::UserEntry* const entry = around.FindUser(name);
    if (entry == nullptr) return true;
    // The tenant first: a user's rule inherits from its tenant's.
    learn_tenant(entry->tenant());
    changes.push_back(config::EntityChange::Put(std::string(name), entry->of->Written()));
    return true;
  });
  for (const auto& engine : {in_force_.get(), candidate_.get()}) {
    // A candidate without the tier or template that one of them names: the others are replayed all the same.
    if (changes.empty() || engine->ApplyEntities({}, changes)) continue;
    for (const config::EntityChange& one : changes) {
      if (const auto applied = engine->ApplyEntities({}, {&one, 1}); !applied) {
        log::Debug("an entity takes no part in a replay", {{"name", one.name}, {"why", applied.error().message}});
      }
    }
  }
}

Comparison::Said Comparison::Ask(engine::Engine& engine, const analytics::RecordedDecision& recorded) {
  std::vector<std::string> subjects;
  engine::Call call;
  call.request = recorded.request;
  call.descriptor = recorded.descriptor;
  call.subjects = &subjects;
  engine.Run({&call, 1});
  Said said{.allowed = call.decision.allowed};
  if (said.allowed) return said;
  const RuleOutcome* const decider = call.decision.decider();
  said.rule = decider != nullptr ? std::string(decider->rule) : std::string(ToString(call.decision.reason));
  const auto at = static_cast<std::size_t>(std::max(call.decision.deciding, 0));
  if (decider != nullptr && at < subjects.size()) {
    said.subject = subjects[at];
  } else {
    said.subject = recorded.request.user.empty() ? recorded.request.peer_ip : recorded.request.user;
  }
  return said;
}

void Comparison::Groups::Add(const Said& said) {
  const auto key = std::pair(said.rule, said.subject);
  if (const auto found = counts.find(key); found != counts.end()) {
    ++found->second;
  } else if (counts.size() < kMostGroups) {
    counts.emplace(key, 1);
  } else {
    ++others;
  }
}

json::array Comparison::Groups::ToJson() const {
  std::vector<const std::pair<const std::pair<std::string, std::string>, std::uint64_t>*> all;
  for (const auto& one : counts) all.push_back(&one);
  std::ranges::sort(all, [](const auto* a, const auto* b) {
    return a->second != b->second ? a->second > b->second : a->first < b->first;
  });
  json::array out;
  for (const auto* one : all) {
    if (out.size() == kMostShown) break;
    out.push_back(json::object{{"rule", one->first.first}, {"subject", one->first.second}, {"count", one->second}});
  }
  return out;
}

void Comparison::Follow(const analytics::Recorder& recorder, const config::Snapshot& around) {
  LearnEntities(recorder, around);
  next_ = recorder.Visit(next_, [&](const analytics::RecordedDecision& one) {
    clock_->Set(one.at);
    const Said now = Ask(*in_force_, one);
    const Said then = Ask(*candidate_, one);
    ++figures_.compared;
    figures_.denied_in_force += now.allowed ? 0 : 1;
    figures_.denied += then.allowed ? 0 : 1;
    figures_.replayed_otherwise += now.allowed == one.allowed ? 0 : 1;
    if (now.allowed && !then.allowed) {
      ++figures_.newly_denied;
      denied_.Add(then);
    } else if (!now.allowed && then.allowed) {
      ++figures_.newly_allowed;
      allowed_.Add(now);
    }
    return true;
  });
}

void Comparison::CountAnew() {
  figures_ = {};
  denied_ = {};
  allowed_ = {};
}

namespace {

json::object ByRule(const std::map<std::pair<std::string, std::string>, std::uint64_t>& counts, std::size_t most) {
  std::map<std::string, std::uint64_t> rules;
  for (const auto& [group, count] : counts) rules[group.first] += count;
  json::object out;
  for (const auto& [rule, count] : rules) {
    if (out.size() == most) break;
    out[rule] = count;
  }
  return out;
}

}  // namespace

json::object Comparison::ToJson() const {
  json::object out;
  out["decisions"] = figures_.compared;
  out["denied_in_force"] = figures_.denied_in_force;
  out["denied"] = figures_.denied;
  out["newly_denied"] = figures_.newly_denied;
  out["newly_allowed"] = figures_.newly_allowed;
  out["replayed_otherwise"] = figures_.replayed_otherwise;
  out["newly_denied_by_rule"] = ByRule(denied_.counts, kMostShown);
  out["newly_allowed_by_rule"] = ByRule(allowed_.counts, kMostShown);
  out["newly_denied_subjects"] = denied_.ToJson();
  out["newly_allowed_subjects"] = allowed_.ToJson();
  return out;
}

}  // namespace weir::management::rest
