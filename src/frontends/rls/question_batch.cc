#include "frontends/rls/question_batch.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace weir::rls {
namespace {

// One is enough for a store that completes inline.
constexpr std::size_t kPooled = 4;
// Strings that grew beyond this, and calls beyond that many, are not kept.
constexpr std::size_t kKeptBytes = 4 << 10;
constexpr std::size_t kKeptCalls = 256;
// Gathered in one batch: enough to keep the caches warm, and few enough that no one waits long for others' answers.
constexpr std::size_t kMostTogether = 64;

struct Gathering {
  Service* service = nullptr;
  std::shared_ptr<QuestionBatch> batch;
};
struct OfThread {
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

QuestionBatch& QuestionBatch::Gathered(Service& service) {
  auto& gathered = ThisThread().gathered;
  for (const Gathering& gathering : gathered) {
    if (gathering.service != &service) continue;
    if (gathering.batch->origins_.size() < kMostTogether) return *gathering.batch;
  }
  return *gathered.emplace_back(&service, Acquire()).batch;
}

void QuestionBatch::AskGathered() {
  auto& gathered = ThisThread().gathered;
  // One at a time: an owner that is told may gather more.
  while (!gathered.empty()) {
    const Gathering next = std::move(gathered.front());
    gathered.erase(gathered.begin());
    QuestionBatch& batch = *next.batch;
    // Its service may have gone with its owners.
    if (batch.IsOwned()) {
      if (!batch.Ask(*next.service)) continue;
      for (std::size_t i = 0; i < batch.part_count_; ++i) {
        const Part& part = batch.parts_[i];
        if (part.owner != nullptr) part.owner->OnAnswered(batch, part);
      }
    }
    Release(next.batch);
  }
}

void QuestionBatch::Clear() {
  if (calls_.size() > kKeptCalls) {
    calls_.resize(kKeptCalls);
    buffers_.resize(kKeptCalls);
  }
  for (std::size_t i = 0; i < calls_.size() && i < origins_.size(); ++i) {
    Empty(calls_[i].response);
    Empty(buffers_[i]);
  }
  origins_.clear();
  prefixes_.clear();
  for (std::size_t i = 0; i < part_count_; ++i) {
    parts_[i].owner = nullptr;
    parts_[i].connection.reset();
  }
  part_count_ = 0;
}

bool QuestionBatch::Add(BatchOwner& owner, net::Connection& connection, const Origin& origin, std::uint32_t method,
                        std::string& buffer, std::size_t prefix) {
  const std::size_t i = origins_.size();
  if (i == calls_.size()) {
    calls_.emplace_back();
    buffers_.emplace_back();
  }
  const bool begins = part_count_ == 0 || parts_[part_count_ - 1].owner != &owner;
  if (begins) {
    if (part_count_ == parts_.size()) parts_.emplace_back();
    Part& part = parts_[part_count_++];
    part.owner = &owner;
    part.connection = connection.Share();
    // The connection can go before the answer comes.
    part.peer.assign(connection.peer_address());
    part.first = part.end = i;
    part.bytes = 0;
  }
  Part& part = parts_[part_count_ - 1];
  ++part.end;
  origins_.push_back(origin);
  prefixes_.push_back(prefix);
  buffers_[i].swap(buffer);
  part.bytes += buffers_[i].size();
  calls_[i].method = method;
  calls_[i].status.code = Code::kOk;
  calls_[i].status.message.clear();
  return begins;
}

void QuestionBatch::Disown(const BatchOwner& owner) {
  for (std::size_t i = 0; i < part_count_; ++i) {
    if (parts_[i].owner == &owner) parts_[i].owner = nullptr;
  }
}

bool QuestionBatch::IsOwned() const {
  return std::any_of(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(part_count_),
                     [](const Part& part) { return part.owner != nullptr; });
}

// True: answered. False: Done() follows.
bool QuestionBatch::Ask(Service& service) {
  for (std::size_t p = 0; p < part_count_; ++p) {
    for (std::size_t i = parts_[p].first; i < parts_[p].end; ++i) {
      calls_[i].request = std::string_view(buffers_[i]).substr(prefixes_[i]);
      calls_[i].peer = parts_[p].peer;
    }
  }
  self_ = shared_from_this();
  try {
    // Not complete: Done() may be at work on another thread already.
    if (!service.Answer(std::span(calls_).first(origins_.size()), this)) return false;
  } catch (const std::exception& error) {
    // One owner asks for all: the fault would be that one's alone, and the others would wait for ever.
    for (std::size_t i = 0; i < origins_.size(); ++i) calls_[i].status = {Code::kInternal, error.what()};
  }
  self_.reset();
  return true;
}

void QuestionBatch::Done() noexcept {
  // Each task has the batch: the loop may be done with the first of them before the last is posted.
  const std::shared_ptr<QuestionBatch> self = std::move(self_);
  for (std::size_t i = 0; i < part_count_; ++i) {
    parts_[i].connection->Post([self, i] {
      const Part& part = self->parts_[i];
      if (part.owner != nullptr) part.owner->OnAnsweredLater(*self, part);
    });
  }
}

}  // namespace weir::rls
