#include "frontends/rls/http2/question_batch.h"

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "base/log.h"

namespace weir::rls {
namespace {

// Of a loop: what the connections that are read together fill by far, as a rule.
constexpr std::size_t kPooled = 16;
// Strings that grew beyond this are not kept.
constexpr std::size_t kKeptBytes = 4 << 10;

struct Gathering {
  Service* service = nullptr;
  std::shared_ptr<QuestionBatch> batch;
};
struct OfThread {
  OfThread() { pool.reserve(kPooled); }
  std::vector<Gathering> gathered;
  std::vector<std::shared_ptr<QuestionBatch>> pool;
};
OfThread& ThisThread() {
  thread_local OfThread here;
  return here;
}

void Empty(std::string& text) {
  text.clear();
  // To assign an empty string frees nothing.
  if (text.capacity() > kKeptBytes) text.shrink_to_fit();
}

std::shared_ptr<QuestionBatch> Acquire() {
  auto& pool = ThisThread().pool;
  if (pool.empty()) return std::make_shared<QuestionBatch>();
  std::shared_ptr<QuestionBatch> batch = std::move(pool.back());
  pool.pop_back();
  return batch;
}

void Release(std::shared_ptr<QuestionBatch> batch) {
  batch->Clear();
  auto& pool = ThisThread().pool;
  if (pool.size() < kPooled) pool.push_back(std::move(batch));
}

}  // namespace

QuestionBatch& QuestionBatch::Gathered(Service& service, std::size_t bytes) {
  auto& gathered = ThisThread().gathered;
  for (const Gathering& gathering : gathered) {
    if (gathering.service == &service && gathering.batch->HasRoomFor(bytes)) return *gathering.batch;
  }
  return *gathered.emplace_back(&service, Acquire()).batch;
}

void QuestionBatch::AskGathered() {
  auto& gathered = ThisThread().gathered;
  while (!gathered.empty()) {
    const Gathering next = std::move(gathered.front());
    gathered.erase(gathered.begin());
    QuestionBatch& batch = *next.batch;
    // Its service may have gone with its owners.
    if (batch.IsOwned()) {
      if (!batch.Ask(*next.service)) continue;
      for (std::size_t i = 0; i < batch.segment_count_; ++i) {
        const Segment& segment = batch.segments_[i];
        if (segment.owner == nullptr) continue;
        try {
          segment.owner->OnAnswered(batch, segment);
        } catch (const std::exception& error) {
          log::Error("session failed", {{"reason", error.what()}, {"peer", segment.peer}});
          segment.owner->OnBroken();
        }
      }
    }
    Release(next.batch);
  }
}

void QuestionBatch::Clear() {
  for (std::size_t i = 0; i < size_; ++i) {
    Empty(calls_[i].response);
    Empty(buffers_[i]);
    request_ids_[i].clear();
  }
  for (std::size_t i = 0; i < segment_count_; ++i) {
    segments_[i].owner = nullptr;
    segments_[i].connection.reset();
  }
  size_ = segment_count_ = bytes_ = told_ = 0;
}

bool QuestionBatch::Add(BatchOwner& owner, net::Connection& connection, const Origin& origin, std::uint32_t method,
                        std::string& buffer, std::size_t prefix, std::string& request_id) {
  const bool begins = segment_count_ == 0 || segments_[segment_count_ - 1].owner != &owner;
  if (begins) {
    Segment& segment = segments_[segment_count_];
    // The connection can go before the answer comes.
    segment.peer.assign(connection.peer_address());
    segment.connection = connection.Share();
    // Nothing below throws.
    segment.owner = &owner;
    segment.first = segment.end = size_;
    segment.bytes = 0;
    ++segment_count_;
  }
  Segment& segment = segments_[segment_count_ - 1];
  segment.end = size_ + 1;
  segment.bytes += buffer.size();
  bytes_ += buffer.size();
  buffers_[size_].swap(buffer);
  request_ids_[size_].swap(request_id);
  prefixes_[size_] = prefix;
  origins_[size_] = origin;
  calls_[size_].method = method;
  calls_[size_].status.code = Code::kOk;
  calls_[size_].status.message.clear();
  ++size_;
  return begins;
}

void QuestionBatch::Disown(const BatchOwner& owner) {
  for (std::size_t i = 0; i < segment_count_; ++i) {
    if (segments_[i].owner == &owner) segments_[i].owner = nullptr;
  }
}

bool QuestionBatch::IsOwned() const {
  return std::any_of(segments_.begin(), segments_.begin() + segment_count_,
                     [](const Segment& segment) { return segment.owner != nullptr; });
}

// True: answered. False: Done() follows.
bool QuestionBatch::Ask(Service& service) {
  for (std::size_t p = 0; p < segment_count_; ++p) {
    for (std::size_t i = segments_[p].first; i < segments_[p].end; ++i) {
      calls_[i].request = std::string_view(buffers_[i]).substr(prefixes_[i]);
      calls_[i].peer = segments_[p].peer;
      calls_[i].request_id = request_ids_[i];
    }
  }
  self_ = shared_from_this();
  try {
    // Not complete: Done() may be at work on another thread already.
    if (!service.Answer(std::span(calls_).first(size_), this)) return false;
  } catch (const std::exception& error) {
    // One connection asks for all: the fault would be that one's alone, and the others would wait for ever.
    log::Error("service failed", {{"service", std::string(service.name())}, {"reason", error.what()}});
    for (std::size_t i = 0; i < size_; ++i) calls_[i].status = {Code::kInternal, "fault"};
  }
  self_.reset();
  return true;
}

void QuestionBatch::Done() noexcept {
  // Each task has the batch. The last one may run, and the batch be used again, before Post() returns here.
  const std::shared_ptr<QuestionBatch> self = std::move(self_);
  const std::size_t count = segment_count_;
  for (std::size_t i = 0; i < count; ++i) {
    const std::shared_ptr<net::Connection> connection = segments_[i].connection;
    connection->Post([self, i] { self->TellLater(i); });
  }
}

void QuestionBatch::TellLater(std::size_t segment) {
  if (segments_[segment].owner != nullptr) segments_[segment].owner->OnAnsweredLater(*this, segments_[segment]);
  // Where a connection has gone its task does not run: then the batch is not used again.
  if (++told_ == segment_count_) Release(shared_from_this());
}

}  // namespace weir::rls
