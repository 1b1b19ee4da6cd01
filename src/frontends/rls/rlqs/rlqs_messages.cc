#include "frontends/rls/rlqs/rlqs_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "frontends/rls/envoy/protobuf_faults.h"
#include "frontends/rls/envoy/protobuf_fields.h"

namespace weir::rls {
namespace {

using protozero::pbf_reader;
using protozero::pbf_writer;

class ReportsReader {
 public:
  void Read(std::string_view message) {
    pbf_reader reader(message.data(), message.size());
    while (reader.next()) {
      switch (reader.tag_and_type()) {
        case Field(1, kBytes):
          field_ = "domain";
          reports_.domain = Utf8Of(reader.get_view());
          if (reports_.domain.size() > kMostDomainBytes) throw Refused{"longer than 200 bytes"};
          break;
        case Field(2, kBytes):
          field_ = "";
          if (reports_.usages.size() == kMostUsages) {
            reader.skip();
            ++reports_.skipped;
          } else {
            ReadUsage(reader.get_message());
          }
          in_usage_ = false;
          ++position_;
          break;
        default:
          field_ = "a field that is not known";
          reader.skip();
      }
      field_ = "";
    }
  }
  std::string Where() const {
    if (!in_usage_) return field_.empty() ? "the report" : std::string(field_);
    return fmt::format("bucket_quota_usages[{}]{}{}", position_, field_.empty() ? "" : ".", field_);
  }
  UsageReports& reports() { return reports_; }

 private:
  void ReadUsage(pbf_reader reader) {
    BucketUsage& usage = reports_.usages.emplace_back();
    in_usage_ = true;
    bad_ = false;
    while (reader.next()) {
      switch (reader.tag_and_type()) {
        case Field(1, kBytes):
          field_ = "bucket_id";
          ReadBucket(reader.get_message(), usage.bucket);
          break;
        case Field(2, kBytes):
          field_ = "time_elapsed";
          usage.elapsed = ReadDuration(reader.get_message());
          break;
        case Field(3, kVarint):
          usage.allowed = reader.get_uint64();
          break;
        case Field(4, kVarint):
          usage.denied = reader.get_uint64();
          break;
        default:
          field_ = "a field that is not known";
          reader.skip();
      }
      field_ = "";
    }
    if (!bad_ && Canonicalise(usage.bucket)) return;
    reports_.usages.pop_back();
    ++reports_.skipped;
  }

  void ReadBucket(pbf_reader reader, std::vector<Attribute>& bucket) {
    while (reader.next()) {
      if (reader.tag_and_type() != Field(1, kBytes)) {
        reader.skip();
        continue;
      }
      // Twice what may stay: a key may come twice.
      if (bucket.size() == 2 * kMostBucketEntries) bad_ = true;
      if (bad_) {
        reader.skip();
        continue;
      }
      Attribute& entry = bucket.emplace_back();
      pbf_reader pair = reader.get_message();
      while (pair.next()) {
        switch (pair.tag_and_type()) {
          case Field(1, kBytes):
            entry.name = Text(pair);
            break;
          case Field(2, kBytes):
            entry.value = Text(pair);
            break;
          default:
            pair.skip();
        }
      }
    }
  }

  std::string_view Text(pbf_reader& pair) {
    const auto view = pair.get_view();
    const std::string_view text(view.data(), view.size());
    bad_ |= text.size() > kMostBucketBytes || FindInvalidUtf8(text) != std::string_view::npos;
    return text;
  }

  // False: not an id that is taken.
  static bool Canonicalise(std::vector<Attribute>& bucket) {
    std::ranges::reverse(bucket);
    std::ranges::stable_sort(bucket, {}, &Attribute::name);
    const auto repeated = std::ranges::unique(bucket, {}, &Attribute::name);
    bucket.erase(repeated.begin(), repeated.end());
    std::size_t bytes = 0;
    for (const Attribute& entry : bucket) bytes += entry.name.size() + entry.value.size();
    return !bucket.empty() && bucket.size() <= kMostBucketEntries && bytes <= kMostBucketBytes;
  }

  // Negative and absurd ones are unknown: they only tell how fast requests came.
  static Nanos ReadDuration(pbf_reader reader) {
    const auto [seconds, nanos] = weir::rls::ReadDuration(reader);
    constexpr std::int64_t kMost = std::numeric_limits<Nanos>::max() / kSecond - 1;
    if (seconds < 0 || nanos < 0 || nanos >= kSecond || seconds > kMost) return 0;
    return seconds * kSecond + nanos;
  }

  UsageReports reports_;
  std::size_t position_ = 0;  // of the usage that is being read
  bool in_usage_ = false;
  bool bad_ = false;  // this usage is to be passed over
  std::string_view field_;
};

}  // namespace

Result<UsageReports> ReadUsageReports(std::string_view message) {
  ReportsReader reader;
  std::string_view why;
  try {
    reader.Read(message);
    return std::move(reader.reports());
  } catch (const Refused& refused) {
    why = refused.why;
  } catch (const protozero::exception& fault) {
    why = WhyOf(fault);
  }
  return Fail(ErrorCode::kInvalidArgument, fmt::format("{}: {}", reader.Where(), why));
}

void AppendBucketAction(std::span<const Attribute> bucket, const Assignment& assignment, Nanos ttl, std::string& out) {
  pbf_writer response(out);
  pbf_writer action(response, 1);
  {
    pbf_writer id(action, 1);
    for (const Attribute& entry : bucket) {
      pbf_writer pair(id, 1);
      pair.add_string(1, entry.name.data(), entry.name.size());
      pair.add_string(2, entry.value.data(), entry.value.size());
    }
  }
  if (assignment.kind == Assignment::Kind::kAbandon) {
    action.add_message(3, "", 0);
    return;
  }
  pbf_writer quota(action, 2);
  {
    pbf_writer time_to_live(quota, 2);
    time_to_live.add_int64(1, (ttl + kSecond - 1) / kSecond);
  }
  pbf_writer strategy(quota, 3);
  if (assignment.kind != Assignment::Kind::kTokens) {
    // Told also where it is 0: a strategy has to be chosen.
    strategy.add_enum(1, assignment.kind == Assignment::Kind::kDenyAll ? 1 : 0);
    return;
  }
  pbf_writer tokens(strategy, 3);
  tokens.add_uint32(1, assignment.max_tokens);
  {
    pbf_writer per_fill(tokens, 2);
    per_fill.add_uint32(1, assignment.tokens_per_fill);
  }
  pbf_writer interval(tokens, 3);
  interval.add_int64(1, assignment.interval_seconds);
}

}  // namespace weir::rls
