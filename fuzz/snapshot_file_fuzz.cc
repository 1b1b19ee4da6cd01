// A snapshot file from anywhere: loads or is refused, never crashes, never takes more memory than the store was given;
// and whatever was loaded can be used. The first byte says whether the checksums are mended first (odd), so that what
// lies behind them is reached too.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "storage/memory/snapshot_file.h"
#include "storage/memory/snapshot_format.h"

namespace {

using namespace weir;           // NOLINT(google-build-using-namespace)
using namespace weir::storage;  // NOLINT(google-build-using-namespace)

constexpr Nanos kNow = 1'800'000'000 * kSecond;

class BytesSource final : public memory::SnapshotSource {
 public:
  explicit BytesSource(const std::string& bytes) : bytes_(bytes) {}
  Result<std::size_t> Read(void* data, std::size_t size) override {
    const std::size_t got = std::min(size, bytes_.size() - at_);
    if (got != 0) std::memcpy(data, bytes_.data() + at_, got);
    at_ += got;
    return got;
  }
  Result<> Rewind() override {
    at_ = 0;
    return {};
  }

 private:
  const std::string& bytes_;
  std::size_t at_ = 0;
};

void MendChecksums(std::string& bytes) {
  using memory::snapshot::Block;
  using memory::snapshot::Header;
  if (bytes.size() < sizeof(Header)) return;
  Header header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  header.checksum = memory::snapshot::ChecksumOf(header);
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::size_t at = sizeof(header);
  while (bytes.size() - at >= sizeof(Block)) {
    Block block;
    std::memcpy(&block, bytes.data() + at, sizeof(block));
    if (block.payload_bytes > bytes.size() - at - sizeof(block)) return;
    block.checksum = memory::snapshot::ChecksumOf(block, bytes.data() + at + sizeof(block), at);
    std::memcpy(bytes.data() + at, &block, sizeof(block));
    at += sizeof(block) + block.payload_bytes;
  }
}

// Every op on every list state that came in.
void UseAll(memory::MemoryStore& store) {
  std::vector<std::pair<Key, algorithms::Kind>> states;
  for (std::size_t i = 0; i < store.lists().shards(); ++i) {
    memory::ListShard& shard = store.lists().ShardAt(i);
    for (std::size_t k = 0; k < shard.size(); ++k) states.emplace_back(shard.at(k).key, shard.at(k).kind);
  }
  for (const auto& [key, kind] : states) {
    Limit limit;
    limit.kind = kind;
    limit.capacity = 10;
    limit.window = limit.lease = limit.learning_window = kMinute;
    limit.precision = kSecond;
    limit.threshold = 3;
    limit = algorithms::Sanitize(limit);
    Item item;
    item.limit = &limit;
    item.key = key;
    for (const Op op : {Op::kPeek, Op::kCheck, Op::kCharge, Op::kRefund, Op::kAssign, Op::kReset}) {
      Outcome outcome;
      Plan plan{op, {&item, 1}, {&outcome, 1}, PlanStatus::kOk, false};
      if (!store.Apply({&plan, 1}, kNow, nullptr)) std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 1) MendChecksums(bytes);
  constexpr std::uint64_t kMemory = 1 << 20;
  auto store = memory::MemoryStore::Create(
      {.max_entries = 64, .memory_limit = kMemory, .full_policy = memory::FullPolicy::kDenyNew, .secret = 1});
  if (!store) std::abort();
  BytesSource source(bytes);
  const Result<memory::SnapshotReport> report = memory::LoadSnapshot(**store, source, kNow);
  if (!report) {
    if ((*store)->Stats().entries != 0 || report.error().message.empty()) std::abort();
    return 0;
  }
  // One state may go beyond what is left; no file makes the store take more than itself and that.
  if ((*store)->Stats().bytes > kMemory + size + 4096) std::abort();
  UseAll(**store);
  return 0;
}
