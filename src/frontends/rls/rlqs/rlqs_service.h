// envoy.service.rate_limit_quota.v3.RateLimitQuotaService: data planes report what they let pass and what not, a bucket
// at a time, and are told what part of the bucket's limit is theirs.
//
//  - A bucket is a descriptor of the stream's domain: its entries walk down the domain's tree, in whatever order leads
//    to a rule. Without one all requests pass, but in a domain that the rules of tiers and users hold for: those cannot
//    be put to a data plane, which is told nothing then. It is counted, and logged once a domain.
//  - A domain that is not in the document is answered as envoy.unknown_domain says, and nothing is kept of it.
//  - What was allowed is charged to the rule, so that its counters, and ShouldRateLimit, know of it.
//  - Parts, members and times: rlqs_table.h. What a part looks like: rlqs_budget.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/engine.h"
#include "frontends/rls/envoy/descriptor_core.h"
#include "frontends/rls/http2/service.h"
#include "frontends/rls/reflection/descriptors.h"
#include "frontends/rls/rlqs/rlqs_table.h"

namespace weir::rls {

class RlqsService final : public Service {
 public:
  // `engine` outlives the service; by its clock schedules are read. What lasts goes by `options.clock`.
  explicit RlqsService(engine::Engine& engine, const QuotaOptions& options = {});
  ~RlqsService() override;

  std::string_view name() const override { return "envoy.service.rate_limit_quota.v3.RateLimitQuotaService"; }
  const std::vector<Method>& methods() const override { return methods_; }
  // There are no unary calls.
  [[nodiscard]] bool Answer(std::span<UnaryCall> calls, storage::Completion* done) override;
  std::span<const std::string> file_descriptors() const override { return descriptors_; }

  // To be called about once a second, by any thread.
  void Tick();

  struct Counts {
    std::size_t streams = 0, buckets = 0, members = 0;
    std::uint64_t reports = 0;     // of buckets
    std::uint64_t refused = 0;     // reports of a bucket beyond a bound: it is told nothing
    std::uint64_t unassigned = 0;  // reports of a bucket that nothing can be assigned for: it is told nothing
    std::uint64_t uncharged = 0;   // reports that were not charged, as too many waited for the store
  };
  Counts counts() const;

 private:
  class Handler;
  class Outbox;
  class Charges;

  std::unique_ptr<StreamHandler> Open(Stream& stream);
  void Report(Handler& handler, const UsageReports& reports);
  void ReportUnknownDomain(Handler& handler, const UsageReports& reports, UnknownDomain policy, Charges& charges);
  void WarnOfRefused(std::string_view domain, Nanos now);
  void WarnOfUnassigned(const std::string& domain);
  // `reporter`: the stream whose report is being answered, on its loop; 0: none. False: there is no room yet.
  bool Notify(std::uint64_t reporter, std::uint64_t stream, std::span<const Attribute> bucket,
              const Assignment& assignment, Nanos ttl);
  Moment Now() { return {.now = clock_.Now(), .wall = core_.engine().clock().Wall()}; }
  void Close(Handler& handler);

  DescriptorCore core_;
  const Clock& clock_;
  QuotaTable table_;
  const Nanos ttl_;
  const std::size_t most_uncounted_bytes_;
  std::atomic<std::uint64_t> next_stream_{1}, reports_{0}, refused_{0}, unassigned_{0}, uncharged_{0};
  // Bytes on their way into the counters; whoever brings them there may outlive the service.
  const std::shared_ptr<std::atomic<std::size_t>> uncounted_ = std::make_shared<std::atomic<std::size_t>>(0);
  std::atomic<Nanos> warned_{INT64_MIN};  // of refused ones
  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::shared_ptr<Outbox>> outboxes_;  // by stream; guarded by mutex_
  std::set<std::string> told_of_;  // domains of which nothing is assigned; guarded by mutex_
  const std::vector<std::string> descriptors_ = FileDescriptors("envoy/service/rate_limit_quota/v3/rlqs.proto");
  std::vector<Method> methods_;
};

}  // namespace weir::rls
