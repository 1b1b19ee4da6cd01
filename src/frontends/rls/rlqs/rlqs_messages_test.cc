// Held against protobuf's own classes.
#include "frontends/rls/rlqs/rlqs_messages.h"

#include <envoy/service/rate_limit_quota/v3/rlqs.pb.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <string>

namespace weir::rls {
namespace {

using envoy::service::rate_limit_quota::v3::RateLimitQuotaResponse;
using envoy::service::rate_limit_quota::v3::RateLimitQuotaUsageReports;

RateLimitQuotaUsageReports AnyReports() {
  RateLimitQuotaUsageReports reports;
  if (*rc::gen::arbitrary<bool>()) reports.set_domain("edge");
  const int usages = *rc::gen::inRange(0, 5);
  for (int i = 0; i < usages; ++i) {
    auto* usage = reports.add_bucket_quota_usages();
    const int entries = *rc::gen::inRange(1, 5);
    for (int e = 0; e < entries; ++e) {
      const std::string key = *rc::gen::element<std::string>("a", "name", "\xC3\xA9", "", "zz", "b");
      (*usage->mutable_bucket_id()->mutable_bucket())[key] = *rc::gen::element<std::string>("", "x", "value");
    }
    usage->mutable_time_elapsed()->set_seconds(*rc::gen::inRange(0, 100'000));
    usage->mutable_time_elapsed()->set_nanos(*rc::gen::inRange(0, 1'000'000'000));
    usage->set_num_requests_allowed(*rc::gen::arbitrary<std::uint64_t>());
    usage->set_num_requests_denied(*rc::gen::arbitrary<std::uint64_t>());
  }
  return reports;
}

bool Same(const UsageReports& mine, const RateLimitQuotaUsageReports& theirs) {
  if (mine.domain != theirs.domain() ||
      mine.usages.size() != static_cast<std::size_t>(theirs.bucket_quota_usages_size()))
    return false;
  for (int i = 0; i < theirs.bucket_quota_usages_size(); ++i) {
    const auto& usage = theirs.bucket_quota_usages(i);
    const BucketUsage& read = mine.usages[static_cast<std::size_t>(i)];
    const std::map<std::string, std::string> sorted(usage.bucket_id().bucket().begin(),
                                                    usage.bucket_id().bucket().end());
    std::map<std::string, std::string> got;
    for (const Attribute& entry : read.bucket) got.emplace(entry.name, entry.value);
    if (got != sorted || read.bucket.size() != sorted.size()) return false;
    if (!std::ranges::is_sorted(read.bucket, {}, &Attribute::name)) return false;
    if (read.allowed != usage.num_requests_allowed() || read.denied != usage.num_requests_denied()) return false;
    if (read.elapsed != usage.time_elapsed().seconds() * kSecond + usage.time_elapsed().nanos()) return false;
  }
  return true;
}

TEST(RlqsMessages, ReadsWhatProtobufWrites) {
  EXPECT_TRUE(rc::check([] {
    const RateLimitQuotaUsageReports reports = AnyReports();
    const std::string wire = reports.SerializeAsString();
    const auto read = ReadUsageReports(wire);
    RC_ASSERT(read.has_value());
    RC_ASSERT(Same(*read, reports));
  }));
}

TEST(RlqsMessages, DamagedOnesAreReadOrRefusedAndNothingElse) {
  EXPECT_TRUE(rc::check([] {
    std::string wire = AnyReports().SerializeAsString();
    RC_PRE(!wire.empty());
    wire[*rc::gen::inRange<std::size_t>(0, wire.size())] = *rc::gen::arbitrary<char>();
    wire.resize(*rc::gen::inRange<std::size_t>(0, wire.size() + 1));
    const std::string exact(wire.data(), wire.size());
    (void)ReadUsageReports(exact);
  }));
}

TEST(RlqsMessages, SaysWhatIsWrongAndWhere) {
  const auto why = [](const RateLimitQuotaUsageReports& reports) {
    const std::string wire = reports.SerializeAsString();
    const auto read = ReadUsageReports(wire);
    return read ? "" : read.error().message;
  };
  RateLimitQuotaUsageReports reports;
  (*reports.add_bucket_quota_usages()->mutable_bucket_id()->mutable_bucket())["a"] = "b";
  EXPECT_EQ(why(reports), "");
  reports.set_domain(std::string(kMostDomainBytes, 'd'));
  EXPECT_EQ(why(reports), "");
  reports.set_domain(std::string(kMostDomainBytes + 1, 'd'));
  EXPECT_EQ(why(reports), "domain: longer than 200 bytes");
  EXPECT_EQ(ReadUsageReports(std::string_view("\x12\x00\x12\x04\x0a\x02\x0a\x05", 8)).error().message,
            "bucket_quota_usages[1].bucket_id: the message ends within it");
  EXPECT_EQ(ReadUsageReports(std::string_view("\x0a\x01\xff", 3)).error().message, "domain: not UTF-8");
  EXPECT_EQ(ReadUsageReports(std::string_view("\x12\x05", 2)).error().message,
            "the report: the message ends within it");
}

// What a header client_limit must not end the reports of all the others.
TEST(RlqsMessages, PassesOverUsagesThatItCannotTake) {
  RateLimitQuotaUsageReports reports;
  const auto add = [&reports](int entries, std::size_t bytes) {
    auto& bucket = *reports.add_bucket_quota_usages()->mutable_bucket_id()->mutable_bucket();
    for (int i = 0; i < entries; ++i) bucket[fmt::format("{:02}", i)] = "x";
    if (bytes > 0) bucket["k"] = std::string(bytes - 1, 'v');
  };
  add(16, 0);
  add(0, 0);
  add(17, 0);
  add(40, 0);
  add(0, kMostBucketBytes);
  add(0, kMostBucketBytes + 1);
  std::string wire = reports.SerializeAsString();
  wire.append("\x12\x09\x0a\x07\x0a\x05\x0a\x00\x12\x01\xff", 11);
  wire.append("\x12\x08\x0a\x06\x0a\x04\x0a\x00\x12\x00", 10);
  const auto read = ReadUsageReports(wire);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->skipped, 5U);
  ASSERT_EQ(read->usages.size(), 3U);
  EXPECT_EQ(read->usages[0].bucket.size(), 16U);
  EXPECT_EQ(read->usages[1].bucket[0].value.size(), kMostBucketBytes - 1);
  EXPECT_EQ(read->usages[2].bucket[0].value, "");
  std::string many;
  for (std::size_t i = 0; i < kMostUsages + 3; ++i) many.append("\x12\x06\x0a\x04\x0a\x02\x0a\x00", 8);
  const auto most = ReadUsageReports(many);
  ASSERT_TRUE(most) << most.error().message;
  EXPECT_EQ(most->usages.size(), kMostUsages);
  EXPECT_EQ(most->skipped, 3U);
}

TEST(RlqsMessages, OfAKeyThatComesTwiceTheLatterHolds) {
  const std::string_view wire("\x12\x12\x0a\x10\x0a\x06\x0a\x01k\x12\x01v\x0a\x06\x0a\x01k\x12\x01w", 20);
  const auto read = ReadUsageReports(wire);
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->usages[0].bucket.size(), 1U);
  EXPECT_EQ(read->usages[0].bucket[0].value, "w");
}

TEST(RlqsMessages, AStrangeElapsedTimeIsUnknown) {
  RateLimitQuotaUsageReports reports;
  auto* usage = reports.add_bucket_quota_usages();
  (*usage->mutable_bucket_id()->mutable_bucket())["a"] = "b";
  for (const std::int64_t seconds : {std::int64_t{-5}, INT64_MAX}) {
    usage->mutable_time_elapsed()->set_seconds(seconds);
    const std::string wire = reports.SerializeAsString();
    EXPECT_EQ(ReadUsageReports(wire)->usages[0].elapsed, 0);
  }
}

TEST(RlqsMessages, ProtobufReadsTheActions) {
  const std::vector<Attribute> bucket = {{"env", "staging"}, {"name", "x"}};
  std::string wire;
  AppendBucketAction(bucket, {.kind = Assignment::Kind::kAllowAll}, 5 * kSecond, wire);
  AppendBucketAction(bucket, {.kind = Assignment::Kind::kDenyAll}, kSecond + 1, wire);
  AppendBucketAction(
      bucket, {.kind = Assignment::Kind::kTokens, .max_tokens = 7, .tokens_per_fill = 300, .interval_seconds = 60},
      kMinute, wire);
  AppendBucketAction(bucket, {.kind = Assignment::Kind::kAbandon}, kMinute, wire);
  RateLimitQuotaResponse response;
  ASSERT_TRUE(response.ParseFromString(wire));
  ASSERT_EQ(response.bucket_action_size(), 4);
  for (const auto& action : response.bucket_action()) {
    EXPECT_EQ(action.bucket_id().bucket().at("env"), "staging");
    EXPECT_EQ(action.bucket_id().bucket().at("name"), "x");
  }
  using Strategy = envoy::type::v3::RateLimitStrategy;
  const auto& allow = response.bucket_action(0).quota_assignment_action();
  EXPECT_EQ(allow.assignment_time_to_live().seconds(), 5);
  EXPECT_EQ(allow.rate_limit_strategy().strategy_case(), Strategy::kBlanketRule);
  EXPECT_EQ(allow.rate_limit_strategy().blanket_rule(), Strategy::ALLOW_ALL);
  const auto& deny = response.bucket_action(1).quota_assignment_action();
  EXPECT_EQ(deny.assignment_time_to_live().seconds(), 2);
  EXPECT_EQ(deny.rate_limit_strategy().blanket_rule(), Strategy::DENY_ALL);
  const auto& tokens = response.bucket_action(2).quota_assignment_action().rate_limit_strategy().token_bucket();
  EXPECT_EQ(tokens.max_tokens(), 7U);
  EXPECT_EQ(tokens.tokens_per_fill().value(), 300U);
  EXPECT_EQ(tokens.fill_interval().seconds(), 60);
  EXPECT_TRUE(response.bucket_action(3).has_abandon_action());
}

}  // namespace
}  // namespace weir::rls
