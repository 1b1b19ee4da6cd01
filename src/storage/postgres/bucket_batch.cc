#include "storage/postgres/bucket_batch.h"

#include <algorithm>

#include "algorithms/gcra.h"
#include "storage/postgres/row.h"

namespace weir::storage::postgres {
namespace {

namespace gcra = algorithms::gcra;
using io::postgres::Type;

bool IsBucketKind(algorithms::Kind kind) {
  return kind == algorithms::Kind::kTokenBucket || kind == algorithms::Kind::kLeakyBucket;
}

// The outcome of the check in the state that was found; nullopt: the server cannot have decided so.
std::optional<Outcome> Redecide(const Item& item, Nanos at, algorithms::Word word, bool charged) {
  const gcra::Terms terms = gcra::MakeTerms(*item.limit, item.cost);
  // What was there, or `at` where it had expired, which says the same.
  algorithms::Word before = charged ? word - terms.increment : word;
  const Outcome outcome = algorithms::Of(item.limit->kind).apply_word(*item.limit, AskOf(item, Op::kCheck, at), before);
  if ((outcome.verdict == Verdict::kAllowed) != charged) return std::nullopt;
  return outcome;
}

}  // namespace

bool IsBucketPlan(const Plan& plan) {
  if (plan.op != Op::kCheck || plan.once != nullptr || plan.items.size() != 1) return false;
  const Item& item = plan.items[0];
  return IsBucketKind(item.limit->kind) && item.previous == nullptr && item.cost > 0 &&
         item.cost <= item.limit->capacity;
}

bool BucketBatch::Add(const JobPtr& job) {
  for (const Key& key : job->keys) {
    const auto found = std::ranges::lower_bound(entries_, key, Before, &Entry::key);
    if (found != entries_.end() && found->key == key) return false;
  }
  for (Plan* const plan : job->plans) entries_.push_back({plan->items[0].key, plan, jobs_.size()});
  std::ranges::sort(entries_, Before, &Entry::key);
  at_ = jobs_.empty() ? job->now : std::max(at_, job->now);
  jobs_.push_back(job);
  return true;
}

io::postgres::Params BucketBatch::Encode(std::int64_t wait_ms, bool quick) {
  std::vector<Key> keys;
  std::vector<std::int64_t> more, burst;
  std::vector<std::int16_t> kinds;
  for (const Entry& entry : entries_) {
    const Item& item = entry.plan->items[0];
    const gcra::Terms terms = gcra::MakeTerms(*item.limit, item.cost);
    keys.push_back(entry.key);
    more.push_back(terms.increment);
    burst.push_back(terms.burst);
    kinds.push_back(static_cast<std::int16_t>(item.limit->kind));
  }
  io::postgres::Params params;
  params.Add(at_).Add(std::span<const Key>(keys)).Add(std::span<const std::int64_t>(more));
  params.Add(std::span<const std::int64_t>(burst)).Add(std::span<const std::int16_t>(kinds));
  params.Add(wait_ms).Add(std::int64_t{quick ? 1 : 0});
  return params;
}

std::vector<bool> BucketBatch::Decode(const io::postgres::Rows& rows) {
  std::vector<bool> sane(jobs_.size(), true);
  struct Told {
    algorithms::Word word = 0;
    bool charged = false, told = false;
  };
  std::vector<Told> told(entries_.size());
  if (!rows.Have({Type::kUuid, Type::kInt64, Type::kBool})) return std::vector<bool>(jobs_.size(), false);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const Key key = rows.Uuid(row, 0);
    const auto found = std::ranges::lower_bound(entries_, key, Before, &Entry::key);
    if (found == entries_.end() || !(found->key == key)) continue;
    Told& entry = told[static_cast<std::size_t>(found - entries_.begin())];
    // A row that was charged may be told again as it is now.
    if (!entry.charged) entry = {.word = rows.Int(row, 1), .charged = rows.Bool(row, 2), .told = true};
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (jobs_[entry.job]->answered) continue;
    const auto outcome =
        told[i].told ? Redecide(entry.plan->items[0], at_, told[i].word, told[i].charged) : std::optional<Outcome>();
    if (!outcome) {
      sane[entry.job] = false;
      continue;
    }
    Plan& plan = *entry.plan;
    plan.outcomes[0] = *outcome;
    plan.status = PlanStatus::kOk;
    plan.admitted = plan.items[0].shadow || told[i].charged;
    plan.decided_at = at_;
  }
  return sane;
}

}  // namespace weir::storage::postgres
