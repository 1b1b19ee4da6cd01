// The messages of envoy.service.rate_limit_quota.v3 in protobuf's wire form (proto/ has their definitions). Read as
// messages.h says.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "frontends/rls/rlqs/rlqs_budget.h"
#include "weir/request.h"
#include "weir/result.h"

namespace weir::rls {

inline constexpr std::size_t kMostUsages = 10'000;     // of a message
inline constexpr std::size_t kMostBucketEntries = 16;  // the depth of a domain's tree
inline constexpr std::size_t kMostBucketBytes = 4096;  // of a bucket's id: its keys and values together
inline constexpr std::size_t kMostDomainBytes = 200;   // as in documents

struct BucketUsage {
  // The bucket's id: ascending by key, each key once (of a key that comes twice the latter value holds).
  std::vector<Attribute> bucket;
  Nanos elapsed = 0;  // since the report before; 0: not known
  std::uint64_t allowed = 0, denied = 0;
};
struct UsageReports {
  std::string_view domain;
  std::vector<BucketUsage> usages;
  // Usages that were passed over: whose id is empty, beyond a bound or not UTF-8 (nobody could be told of it), and
  // those after the first kMostUsages. What a client of the data plane puts into a header is no reason to end the
  // stream.
  std::uint64_t skipped = 0;
};
// Views borrow from the message. kInvalidArgument says what is wrong and where: "bucket_quota_usages[2].bucket_id:
// ...".
Result<UsageReports> ReadUsageReports(std::string_view message);

// One action of a RateLimitQuotaResponse. Several behind each other are one response. `ttl`: of an assignment; whole
// seconds, rounded up.
void AppendBucketAction(std::span<const Attribute> bucket, const Assignment& assignment, Nanos ttl, std::string& out);

}  // namespace weir::rls
