// A configuration in force: the compiled snapshot and what the engine derives from it once, so that no request has to.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "algorithms/limit.h"
#include "base/arena.h"
#include "config/snapshot/snapshot.h"
#include "engine/counters/counters.h"
#include "engine/identify/extractors.h"
#include "engine/resolve/resolve.h"
#include "weir/decision.h"
#include "weir/result.h"

namespace weir::engine {

// What the engine adds to a compiled rule.
struct RuleUse {
  const config::Rule* rule = nullptr;
  HeaderPlan headers;
  bool shadow = false;  // never denies: in shadow or in quota mode
  bool quota = false;
  bool detailed = false;  // counted by the descriptor's text (detail.h)
  bool plain = true;      // asks for one item a subject and no more: no penalties, slots, quota fields
  bool simple = true;     // its identifier is (identify.h)
  std::uint8_t most_subjects = 1;
  std::uint32_t counter = 0;    // Counters::PlaceOf
  std::uint32_t instances = 1;  // that share the store
  algorithms::Limit share;      // this instance's part of the limit, for when the store is away
};

// This instance's part of a limit that `instances` of them share: at least 1 of what was at least 1.
algorithms::Limit ShareOf(algorithms::Limit limit, std::uint32_t instances);

// The limit with another capacity, restored in the same time as before.
algorithms::Limit WithQuota(algorithms::Limit limit, std::uint64_t quota);

HeaderPlan PlanHeaders(const HeaderConfig& headers);

// Immutable; thread-safe.
class Ruleset {
 public:
  // kInvalidArgument when an extractor or identifier cannot be compiled.
  static Result<std::shared_ptr<const Ruleset>> Create(std::shared_ptr<const config::Snapshot> snapshot,
                                                       const Extractors::Registered& registered, Counters& counters);

  const config::Snapshot& snapshot() const { return *snapshot_; }
  const std::shared_ptr<const config::Snapshot>& shared_snapshot() const { return snapshot_; }
  const Extractors& extractors() const { return extractors_; }
  const RuleUse& UseOf(const config::Rule& rule) const { return uses_[rule.index]; }
  // Whom the request is probably counted for, before it is known which rules apply: what the free tier's rule would
  // count, when that is a part of the request as it is. Empty: cannot be told. A guess only: it may not be canonical.
  std::string_view LikelySubject(const Request& request) const {
    switch (likely_) {
      case config::Identifier::Kind::kUser:
        return request.user;
      case config::Identifier::Kind::kApiKey:
        return request.api_key;
      case config::Identifier::Kind::kIp:
        return request.peer_ip;
      default:
        return {};
    }
  }
  // Whether any rule keeps its count in a word: what a store can begin to fetch for a subject (Store::Expect).
  bool keeps_words() const { return keeps_words_; }
  // The rule that goes on with what was counted in this generation: its own or of a previous form, perhaps at another
  // place of a list. nullptr when there is none.
  const RuleUse* FindCounting(std::string_view generation) const;
  std::uint32_t instances() const { return instances_; }
  // The built-in rule for limits that clients bring without a domain (Call::throttle): "throttle", of level global. Its
  // on_store_failure is the document's. Its seed leaves the numbers out: a key whose limit changes keeps what it has
  // used, as redis-cell does.
  const RuleUse& throttle() const { return throttle_; }

  // What resolve needs to know: the client's address and the tier. The tier is the request's own, else what the first
  // tier_field of the configuration names that holds a known tier: an attribute, or a claim of a token whose signature
  // was verified (an unverified one would let clients choose their tier).
  Facts FactsOf(const Request& request, Nanos now, Arena& arena) const;

 private:
  Ruleset(std::shared_ptr<const config::Snapshot> snapshot, Extractors extractors)
      : snapshot_(std::move(snapshot)), extractors_(std::move(extractors)) {}
  std::string_view FindTier(const Request& request, Nanos now, Arena& arena) const;
  void AddThrottle(StoreFailurePolicy on_store_failure, Counters& counters);

  std::shared_ptr<const config::Snapshot> snapshot_;
  Extractors extractors_;
  std::vector<RuleUse> uses_;  // by Rule::index
  std::unordered_map<std::string_view, std::uint32_t> by_path_;
  std::unordered_map<std::string_view, std::uint32_t> moved_;  // by generation: previous forms that had another path
  std::vector<std::string> tier_fields_;
  config::Identifier::Kind likely_ = config::Identifier::Kind::kGlobal;
  bool keeps_words_ = false;
  std::uint32_t instances_ = 1;
  config::Rule throttle_rule_;
  RuleUse throttle_;
};

}  // namespace weir::engine
