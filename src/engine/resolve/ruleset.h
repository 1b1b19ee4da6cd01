// A configuration in force: the compiled snapshot and what the engine derives from it once, so that no request has to.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "algorithms/limit.h"
#include "base/arena.h"
#include "base/assignment.h"
#include "config/snapshot/snapshot.h"
#include "config/source/revision.h"
#include "engine/counters/counters.h"
#include "engine/identify/extractors.h"
#include "engine/resolve/resolve.h"
#include "weir/decision.h"
#include "weir/result.h"

namespace weir::engine {

using config::RuleUse;

// This instance's part of a limit that `instances` of them share: at least 1 of what was at least 1.
algorithms::Limit ShareOf(algorithms::Limit limit, std::uint32_t instances);

// The limit with another capacity, restored in the same time as before.
algorithms::Limit WithQuota(algorithms::Limit limit, std::uint64_t quota);
// Whether a limit that a client brings goes on with the rule's count: the windows are the same, and so are the
// subjects. As with the reference server, whose counters are named by the entries and the window, and not by the limit.
// Only where the rule's count can be held up to that limit.
bool SharesCount(const config::Rule& rule, const algorithms::Limit& client_limit);

// Immutable; thread-safe.
class Ruleset {
 public:
  // kInvalidArgument when an extractor or identifier cannot be compiled.
  // `previous`: of which it takes over what is the same, or nullptr. `counters` and `fact_source` outlive it;
  // without a source nothing is known but what requests say.
  static Result<std::shared_ptr<Ruleset>> Create(std::shared_ptr<const config::Snapshot> snapshot,
                                                 const Extractors::Registered& registered, Counters& counters,
                                                 const Ruleset* previous = nullptr,
                                                 const FactSource* fact_source = nullptr);

  // Another one that holds for a share of the subjects; nullptr = for nobody. Whom the share is drawn from: the user,
  // else the API key, else the address of the connection.
  struct Candidate {
    std::shared_ptr<const Ruleset> rules;
    SubjectShare share;
  };
  // Before it is published.
  void SetCandidate(std::shared_ptr<const Candidate> candidate) { candidate_ = std::move(candidate); }
  const std::shared_ptr<const Candidate>& candidate() const { return candidate_; }
  // Which of the two holds for a request.
  const Ruleset& For(const Request& request) const {
    if (candidate_ == nullptr) [[likely]]
      return *this;
    const std::string_view subject = !request.user.empty()      ? request.user
                                     : !request.api_key.empty() ? request.api_key
                                                                : request.peer_ip;
    return candidate_->share.Includes(subject) ? *candidate_->rules : *this;
  }

  void SetRevision(std::shared_ptr<const config::Revision> revision) { revision_ = std::move(revision); }
  const std::shared_ptr<const config::Revision>& revision() const { return revision_; }

  const config::Snapshot& snapshot() const { return *snapshot_; }
  const std::shared_ptr<const config::Snapshot>& shared_snapshot() const { return snapshot_; }
  const Extractors& extractors() const { return *extractors_; }
  static const RuleUse& UseOf(const config::Rule& rule) { return rule.use; }
  std::uint32_t CounterOf(const config::Rule& rule) const { return policy_->counters[rule.index]; }
  // Whom the request is probably counted for, before it is known which rules apply: what the free tier's rule would
  // count, when that is a part of the request as it is. Empty: cannot be told. A guess only: it may not be canonical.
  std::string_view LikelySubject(const Request& request) const {
    switch (policy_->likely) {
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
  bool keeps_words() const { return snapshot_->traits().words; }
  // The rule that goes on with what was counted in this generation: its own or of a previous form, perhaps at another
  // place of a list. nullptr when there is none.
  const RuleUse* FindCounting(std::string_view generation) const;
  std::uint32_t instances() const { return policy_->instances; }
  // The built-in rule for limits that clients bring without a domain (Call::throttle): "throttle", of level global. Its
  // on_store_failure is the document's. Its seed leaves the numbers out: a key whose limit changes keeps what it has
  // used, as redis-cell does.
  const RuleUse& throttle() const { return policy_->throttle.use; }

  // What resolve needs to know: the client's address and the tier. The tier is the request's own, else what the first
  // tier_field of the configuration names that holds a known tier: an attribute, or a claim of a token whose signature
  // was verified (an unverified one would let clients choose their tier).
  Facts FactsOf(const Request& request, Nanos now, Arena& arena) const;

 private:
  // Made of the policy, whatever users and tenants there are.
  struct Policy {
    Policy(Counters& in, config::Rule for_throttles) : all_counters(in), throttle(std::move(for_throttles)) {}
    ~Policy() {
      for (const std::uint32_t place : counters) all_counters.Release(place);
    }
    Policy(const Policy&) = delete;
    Policy& operator=(const Policy&) = delete;

    Counters& all_counters;
    std::vector<std::uint32_t> counters;  // places, by Rule::index
    std::unordered_map<std::string_view, const RuleUse*> by_path;
    std::unordered_map<std::string_view, const RuleUse*> moved;  // by generation: previous forms that had another path
    config::Identifier::Kind likely = config::Identifier::Kind::kGlobal;
    std::uint32_t instances = 1;
    config::Rule throttle;
  };
  static std::shared_ptr<const Policy> MakePolicy(const config::Snapshot& snapshot, Counters& counters);

  Ruleset(std::shared_ptr<const config::Snapshot> snapshot, std::shared_ptr<const Extractors> extractors,
          std::shared_ptr<const Policy> policy)
      : snapshot_(std::move(snapshot)), extractors_(std::move(extractors)), policy_(std::move(policy)) {}
  std::string_view FindTier(const Request& request, Nanos now, Arena& arena) const;
  void AddKey(Facts& facts) const;

  std::shared_ptr<const config::Snapshot> snapshot_;
  std::shared_ptr<const Extractors> extractors_;
  std::shared_ptr<const Policy> policy_;
  std::shared_ptr<const Candidate> candidate_;
  std::shared_ptr<const config::Revision> revision_;
  const FactSource* fact_source_ = nullptr;
  std::uint32_t asked_facts_ = 0;
};

}  // namespace weir::engine
