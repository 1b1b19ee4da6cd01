// Messages of the rate limit services: the first byte chooses the reader, the rest is the message. What is read stays
// within its bounds and within the message, and what weir then writes about it is read without a fault.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "frontends/rls/envoy/messages.h"
#include "frontends/rls/rlqs/rlqs_messages.h"

namespace {

namespace rls = weir::rls;

void Require(bool holds) {
  if (!holds) std::abort();
}
bool Within(std::string_view part, std::string_view whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void TryRequest(rls::RequestKind kind, std::string_view message) {
  rls::MessageStorage storage;
  storage.entries.emplace_back();  // of a message before
  storage.descriptors.emplace_back();
  const auto request = rls::ReadRequest(kind, message, storage);
  if (!request) {
    Require(request.error().code == weir::ErrorCode::kInvalidArgument && !request.error().message.empty());
    Require(storage.entries.size() == 1 && storage.descriptors.size() == 1);
    return;
  }
  Require(Within(request->domain, message) && Within(request->reservation_id, message));
  Require(request->first_descriptor == 1 && request->descriptors <= rls::kMostDescriptors && request->ttl >= 0);
  Require(storage.descriptors.size() == 1 + request->descriptors);
  std::size_t entries = 1;
  for (std::size_t i = 1; i < storage.descriptors.size(); ++i) {
    Require(storage.descriptors[i].first_entry == entries && storage.descriptors[i].entries <= rls::kMostEntries);
    entries += storage.descriptors[i].entries;
  }
  Require(storage.entries.size() == entries);
  for (std::size_t i = 1; i < entries; ++i) {
    Require(Within(storage.entries[i].name, message) && Within(storage.entries[i].value, message));
  }
  std::string out;
  rls::ResponseWriter writer(out);
  const std::uint32_t violation = 0;
  writer.SetDynamicMetadata(
      {.request = *request, .storage = storage, .violations = {&violation, 1}, .quota_mode = true});
  writer.Finish(rls::Answer::kOk);
  rls::MessageStorage again;
  (void)rls::ReadRequest(kind, out, again);
}

void TryReports(std::string_view message) {
  const auto reports = rls::ReadUsageReports(message);
  if (!reports) {
    Require(reports.error().code == weir::ErrorCode::kInvalidArgument && !reports.error().message.empty());
    return;
  }
  Require(Within(reports->domain, message) && reports->domain.size() <= rls::kMostDomainBytes);
  Require(reports->usages.size() <= rls::kMostUsages);
  for (const rls::BucketUsage& usage : reports->usages) {
    Require(!usage.bucket.empty() && usage.bucket.size() <= rls::kMostBucketEntries && usage.elapsed >= 0);
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < usage.bucket.size(); ++i) {
      bytes += usage.bucket[i].name.size() + usage.bucket[i].value.size();
      Require(weir::FindInvalidUtf8(usage.bucket[i].name) == std::string_view::npos);
      Require(weir::FindInvalidUtf8(usage.bucket[i].value) == std::string_view::npos);
      Require(Within(usage.bucket[i].name, message) && Within(usage.bucket[i].value, message));
      Require(i == 0 || usage.bucket[i - 1].name < usage.bucket[i].name);
    }
    Require(bytes <= rls::kMostBucketBytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  // A copy of exactly its size, so that a read beyond its end is seen.
  const std::vector<char> exact(data + 1, data + size);
  const std::string_view message(exact.data(), exact.size());
  switch (data[0] % 4) {
    case 0:
      TryRequest(rls::RequestKind::kRateLimit, message);
      break;
    case 1:
      TryRequest(rls::RequestKind::kReserve, message);
      break;
    case 2:
      TryRequest(rls::RequestKind::kCommit, message);
      break;
    default:
      TryReports(message);
  }
  return 0;
}
