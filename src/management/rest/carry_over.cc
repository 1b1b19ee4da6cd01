#include "management/rest/carry_over.h"

#include <algorithm>
#include <optional>
#include <variant>

namespace weir::management::rest {
namespace {

struct Base {
  std::string rule;
  std::uint64_t used = 0;
  std::uint64_t limit = 0;
};

// The one rule that counts this user, when it counts nobody else and no rule holds beside it: what is charged counts
// for every rule that holds.
std::optional<Base> BaseRuleOf(engine::Engine& engine, const std::string& user, const std::string& tenant) {
  std::vector<std::string> subjects;
  engine::Call call;
  call.kind = engine::CallKind::kPeek;
  call.request.user = user;
  call.request.tenant = tenant;
  call.request.cost = 0;
  call.subjects = &subjects;
  engine.Run({&call, 1});
  if (call.decision.rule_count != 1 || subjects.size() != 1 || subjects[0] != user) return std::nullopt;
  const RuleOutcome& rule = *call.decision.rules();
  return Base{std::string(rule.rule), rule.outcome.used, rule.outcome.limit};
}

}  // namespace

CarryOver::CarryOver(engine::Engine& engine, std::span<const config::EntityChange> changes) : engine_(engine) {
  if (changes.size() > kMost) return;
  const auto snapshot = engine.snapshot();
  for (const config::EntityChange& change : changes) {
    if (change.kind != config::EntityChange::Kind::kUser) continue;
    const config::UserEntry* const before = snapshot->FindUser(change.name);
    const auto* const after = std::get_if<UserLimits>(&change.limits);
    const bool had = before != nullptr && before->rule() != nullptr;
    if (had == (after != nullptr && after->rule.has_value())) continue;
    const std::string tenant(before != nullptr ? before->tenant() : std::string_view());
    if (auto base = BaseRuleOf(engine, change.name, tenant); base && base->used > 0) {
      used_.push_back({change.name, tenant, std::move(base->rule), base->used});
    }
  }
}

void CarryOver::Charge() const {
  for (const Used& one : used_) {
    const auto snapshot = engine_.snapshot();
    const config::UserEntry* const now = snapshot->FindUser(one.user);
    const std::string tenant(now != nullptr ? now->tenant() : std::string_view(one.tenant));
    const auto base = BaseRuleOf(engine_, one.user, tenant);
    if (!base || base->rule == one.rule || base->used >= one.used) continue;
    engine::Call call;
    call.kind = engine::CallKind::kCharge;
    call.request.user = one.user;
    call.request.tenant = tenant;
    // At most what it holds: a debt would be more than was ever allowed under it.
    call.request.cost = std::min(one.used, base->limit) - std::min(base->used, base->limit);
    if (call.request.cost > 0) engine_.Run({&call, 1});
  }
}

}  // namespace weir::management::rest
