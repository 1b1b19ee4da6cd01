#include "analytics/recorder.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "base/ascii.h"
#include "base/hash.h"
#include "base/path.h"
#include "engine/batch/reservations.h"
#include "engine/resolve/resolve.h"

namespace weir::analytics {
namespace {

constexpr std::size_t kChunk = std::size_t{256} << 10;
constexpr std::uint64_t kEverybody = std::uint64_t{1} << 53;
constexpr std::uint64_t kLeastShare = 1;
// Chunks that may stay after the share was narrowed, of those that there is room for.
constexpr std::size_t kWide = 4;

constexpr std::array kTexts = {&Request::domain,  &Request::peer_ip, &Request::user,   &Request::tenant, &Request::tier,
                               &Request::api_key, &Request::country, &Request::method, &Request::path};
constexpr std::size_t kTextCount = kTexts.size() + 1;  // and the rule

bool CarriesCredentials(std::string_view header) {
  for (const std::string_view one : {"authorization", "proxy-authorization", "cookie", "x-api-key"}) {
    if (EqualsIgnoreCase(header, one)) return true;
  }
  return false;
}

// Writes as long as there is room.
class Writer {
 public:
  explicit Writer(std::span<char> room) : at_(room.data()), end_(room.data() + room.size()) {}
  bool Put(const void* bytes, std::size_t size) {
    if (static_cast<std::size_t>(end_ - at_) < size) return false;
    if (size > 0) std::memcpy(at_, bytes, size);
    at_ += size;
    return true;
  }
  bool PutPair(std::string_view name, std::string_view value) {
    constexpr std::size_t kMost = std::numeric_limits<std::uint16_t>::max();
    if (name.size() > kMost || value.size() > kMost) return false;
    const std::array<std::uint16_t, 2> sizes = {static_cast<std::uint16_t>(name.size()),
                                                static_cast<std::uint16_t>(value.size())};
    return Put(sizes.data(), sizeof sizes) && Put(name.data(), name.size()) && Put(value.data(), value.size());
  }
  char* at() const { return at_; }

 private:
  char* at_;
  char* const end_;
};

}  // namespace

// What a record begins with; its texts follow, then its pairs.
struct Recorder::Head {
  Nanos at = 0;
  std::uint64_t number = 0;
  std::uint64_t position = 0;
  std::uint64_t cost = 0;
  std::uint32_t size = 0;  // of the whole record
  std::array<std::uint16_t, kTextCount> sizes{};
  std::uint8_t headers = 0, attributes = 0;
  Reason reason = Reason::kOk;
  bool allowed = false;
  bool descriptor = false;
};

// Bytes below `size`, which mutex_ guards, never change.
struct Recorder::Chunk {
  std::unique_ptr<char[]> bytes{new char[kChunk]};
  std::size_t size = 0;
  std::uint64_t last = 0;  // the number of its last record
  std::uint64_t count = 0;
  Nanos oldest = 0, newest = 0;
};

Recorder::Recorder(RecorderOptions options)
    : options_(options),
      secret_{engine::RandomId(), engine::RandomId()},
      share_(kEverybody),
      places_(new std::array<Place, kPlaces>),
      share_since_(options.clock->Now()) {
  for (std::size_t i = 0; i < kPlaces; ++i) (*places_)[i].turn.store(i, std::memory_order_relaxed);
}

Recorder::~Recorder() = default;

std::uint64_t Recorder::PositionOf(const Request& request) const noexcept {
  std::string_view subject = !request.user.empty()      ? request.user
                             : !request.api_key.empty() ? request.api_key
                                                        : request.peer_ip;
  std::uint64_t seed = secret_.lo;
  if (subject.empty()) [[unlikely]] {
    // A descriptor: whom it counts is what all of its entries say together.
    subject = request.domain;
    for (const Attribute& entry : request.attributes) seed = Hash64(entry.value, Hash64(entry.name, seed));
  }
  return Hash64(subject, seed) >> 11;
}

Recorder::Place* Recorder::Take(std::uint64_t& ticket) noexcept {
  ticket = tail_.load(std::memory_order_relaxed);
  for (;;) {
    Place& place = (*places_)[ticket % kPlaces];
    const std::uint64_t turn = place.turn.load(std::memory_order_acquire);
    if (turn < ticket) return nullptr;
    if (turn > ticket) {
      ticket = tail_.load(std::memory_order_relaxed);
    } else if (tail_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_relaxed)) {
      return &place;
    }
  }
}

void Recorder::OnDecision(const engine::DecisionEvent& event) noexcept {
  const engine::Call& call = event.call;
  if (call.throttle || call.client_limit != nullptr) return;
  const std::uint64_t position = PositionOf(call.request);
  if (position >= share_.load(std::memory_order_relaxed)) {
    const std::size_t slot = ThreadSlot();
    std::atomic<std::uint64_t>& count = outside_[slot].count;
    if (slot == kSharedSlot) {
      count.fetch_add(1, std::memory_order_relaxed);
    } else {
      count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    return;
  }
  std::uint64_t ticket = 0;
  Place* const place = Take(ticket);
  if (place == nullptr) {
    left_out_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  place->size = Encode(event, position, place->bytes);
  place->turn.store(ticket + 1, std::memory_order_release);
}

// 0: it is too large.
std::size_t Recorder::Encode(const engine::DecisionEvent& event, std::uint64_t position,
                             std::span<char> room) const noexcept {
  const engine::Call& call = event.call;
  Request request = call.request;
  request.path = PathOfTarget(request.path);
  // What the key brings to the request stays when the key itself is left out.
  if (event.facts != nullptr) {
    request.user = event.facts->user;
    request.tenant = event.facts->tenant;
    request.tier = event.facts->tier;
  }
  std::array<char, 20> hidden = {'k', 'e', 'y', ':'};
  if (!request.api_key.empty()) {
    std::uint64_t digest = SipHash(secret_, request.api_key);
    for (std::size_t i = 4; i < hidden.size(); ++i, digest >>= 4) hidden[i] = "0123456789abcdef"[digest & 15U];
    request.api_key = {hidden.data(), hidden.size()};
  }
  const RuleOutcome* const decider = call.decision.decider();
  const std::string_view rule = decider != nullptr ? decider->rule : std::string_view();
  Head head{.at = event.now,
            .position = position,
            .cost = request.cost,
            .reason = call.decision.reason,
            .allowed = call.decision.allowed,
            .descriptor = call.descriptor};
  Writer writer(room);
  if (!writer.Put(&head, sizeof head)) return 0;
  for (std::size_t i = 0; i < kTextCount; ++i) {
    const std::string_view text = i < kTexts.size() ? request.*kTexts[i] : rule;
    if (text.size() > room.size() || !writer.Put(text.data(), text.size())) return 0;
    head.sizes[i] = static_cast<std::uint16_t>(text.size());
  }
  for (const Attribute& header : request.headers) {
    if (CarriesCredentials(header.name)) continue;
    if (head.headers == kMostPairs || !writer.PutPair(header.name, header.value)) return 0;
    ++head.headers;
  }
  for (const Attribute& entry : request.attributes) {
    if (head.attributes == kMostPairs || !writer.PutPair(entry.name, entry.value)) return 0;
    ++head.attributes;
  }
  head.size = static_cast<std::uint32_t>(writer.at() - room.data());
  std::memcpy(room.data(), &head, sizeof head);
  return head.size;
}

void Recorder::Keep(std::span<const char> record) {
  if (chunks_.empty() || chunks_.back()->size + record.size() > kChunk) {
    chunks_.push_back(std::make_shared<Chunk>());
    bytes_ += kChunk;
  }
  Chunk& chunk = *chunks_.back();
  Head head;
  std::memcpy(&head, record.data(), sizeof head);
  if (head.number == 0) head.number = next_++;
  char* const to = chunk.bytes.get() + chunk.size;
  std::memcpy(to, record.data(), record.size());
  std::memcpy(to, &head, sizeof head);
  if (chunk.count == 0) chunk.oldest = head.at;
  chunk.size += record.size();
  chunk.last = head.number;
  chunk.newest = std::max(chunk.newest, head.at);
  ++chunk.count;
  ++kept_;
}

void Recorder::Forget(Nanos now) {
  while (!chunks_.empty() && chunks_.front()->newest < now - options_.keep) {
    kept_ -= chunks_.front()->count;
    bytes_ -= kChunk;
    chunks_.pop_front();
  }
}

// Keeps what is in a share of half the size.
void Recorder::Narrow() {
  const std::uint64_t share = std::max(share_.load(std::memory_order_relaxed) / 2, kLeastShare);
  share_.store(share, std::memory_order_relaxed);
  const auto former = std::move(chunks_);
  chunks_.clear();
  bytes_ = 0;
  kept_ = 0;
  for (const auto& chunk : former) {
    for (std::size_t at = 0; at < chunk->size;) {
      Head head;
      std::memcpy(&head, chunk->bytes.get() + at, sizeof head);
      if (head.position < share) Keep({chunk->bytes.get() + at, head.size});
      at += head.size;
    }
  }
}

void Recorder::FitShare(bool flooded, Nanos now) {
  bool narrowed = false;
  if (flooded && share_.load(std::memory_order_relaxed) > kLeastShare) {
    Narrow();
    narrowed = true;
  }
  while (bytes_ > options_.most_bytes && share_.load(std::memory_order_relaxed) > kLeastShare) {
    Narrow();
    narrowed = true;
  }
  // One subject that asks too often: its oldest go.
  while (bytes_ > options_.most_bytes && chunks_.size() > 1) {
    kept_ -= chunks_.front()->count;
    bytes_ -= kChunk;
    chunks_.pop_front();
  }
  const bool room = bytes_ < options_.most_bytes / kWide && now - share_since_ >= options_.keep;
  if (room && share_.load(std::memory_order_relaxed) < kEverybody) {
    share_.store(std::min(2 * share_.load(std::memory_order_relaxed), kEverybody), std::memory_order_relaxed);
  } else if (!narrowed) {
    return;
  }
  share_since_ = now;
}

void Recorder::Drain() {
  const std::lock_guard lock(mutex_);
  const Nanos now = options_.clock->Now();
  // As many as there can be, so that whoever decides faster than this reads does not hold it for ever.
  for (std::size_t i = 0; i < kPlaces; ++i) {
    Place& place = (*places_)[head_ % kPlaces];
    if (place.turn.load(std::memory_order_acquire) != head_ + 1) break;
    if (place.size > 0) {
      Head head;
      std::memcpy(&head, place.bytes.data(), sizeof head);
      if (head.position < share_.load(std::memory_order_relaxed)) Keep({place.bytes.data(), place.size});
    } else {
      left_out_.fetch_add(1, std::memory_order_relaxed);
      ++full_;  // too large, which no smaller sample would help
    }
    place.turn.store(head_ + kPlaces, std::memory_order_release);
    ++head_;
  }
  Forget(now);
  const std::uint64_t left_out = left_out_.load(std::memory_order_relaxed);
  const bool flooded = left_out > full_;
  full_ = left_out;
  FitShare(flooded, now);
}

std::uint64_t Recorder::Visit(std::uint64_t from, absl::FunctionRef<bool(const RecordedDecision&)> visit) const {
  struct Part {
    std::shared_ptr<const Chunk> chunk;
    std::size_t size;
  };
  std::vector<Part> parts;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& chunk : chunks_) {
      if (chunk->last >= from) parts.push_back({chunk, chunk->size});
    }
  }
  std::uint64_t next = from;
  std::array<Attribute, 2 * kMostPairs> pairs;
  for (const Part& part : parts) {
    for (std::size_t at = 0; at < part.size;) {
      const char* text = part.chunk->bytes.get() + at;
      Head head;
      std::memcpy(&head, text, sizeof head);
      at += head.size;
      if (head.number < from) continue;
      text += sizeof head;
      RecordedDecision one{.number = head.number,
                           .at = head.at,
                           .allowed = head.allowed,
                           .descriptor = head.descriptor,
                           .reason = head.reason};
      one.request.cost = head.cost;
      const auto take = [&](std::size_t size) {
        const std::string_view taken(text, size);
        text += size;
        return taken;
      };
      for (std::size_t i = 0; i < kTexts.size(); ++i) one.request.*kTexts[i] = take(head.sizes[i]);
      one.rule = take(head.sizes.back());
      const std::size_t count = std::size_t{head.headers} + head.attributes;
      for (std::size_t i = 0; i < count; ++i) {
        std::array<std::uint16_t, 2> sizes;
        std::memcpy(sizes.data(), text, sizeof sizes);
        text += sizeof sizes;
        const std::string_view name = take(sizes[0]);
        pairs[i] = {.name = name, .value = take(sizes[1])};
      }
      one.request.headers = std::span(pairs).first(head.headers);
      one.request.attributes = std::span(pairs).subspan(head.headers, head.attributes);
      next = head.number + 1;
      if (!visit(one)) return next;
    }
  }
  return next;
}

RecorderStats Recorder::Stats() const {
  RecorderStats stats;
  for (const Outside& one : outside_) stats.outside += one.count.load(std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  stats.recorded = next_ - 1;
  stats.kept = kept_;
  stats.left_out = left_out_.load(std::memory_order_relaxed);
  stats.bytes = bytes_;
  stats.share = static_cast<double>(share_.load(std::memory_order_relaxed)) * 0x1p-53;
  stats.oldest = chunks_.empty() ? 0 : chunks_.front()->oldest;
  return stats;
}

}  // namespace weir::analytics
