#include "frontends/rls/rlqs_service.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "base/log.h"

namespace weir::rls {
namespace {

constexpr std::size_t kMostBucketsOfAStream = 10'000;
// What a data plane may leave unread before its stream is ended.
constexpr std::size_t kMostUnread = 1 << 20;
constexpr std::size_t kChargedAtOnce = 64;

// What was reported as let through, on its way into the counters. Owns itself while the engine holds it.
class Charges final : public storage::Completion {
 public:
  Charges(DescriptorCore& core, std::string_view domain) : core_(core), domain_(domain) {}

  void Add(std::span<const Attribute> bucket, std::span<const std::uint32_t> order, std::uint64_t count) {
    Charge& charge = charges_.emplace_back();
    charge.count = count;
    charge.first = entries_.size();
    for (const std::uint32_t at : order) entries_.push_back(bucket[at]);
    if (charges_.size() == kChargedAtOnce) Submit();
  }
  void Submit() {
    if (charges_.empty()) return;
    auto flight = std::make_unique<Charges>(core_, domain_);
    flight->Take(entries_);
    flight->calls_.resize(charges_.size());
    const auto settings = core_.CurrentSettings();
    for (std::size_t i = 0; i < charges_.size(); ++i) {
      const std::size_t end = i + 1 < charges_.size() ? charges_[i + 1].first : entries_.size();
      engine::Call& call = flight->calls_[i];
      call.kind = engine::CallKind::kCharge;
      call.descriptor = true;
      call.request.domain = flight->domain_;
      call.request.attributes = std::span(flight->entries_).subspan(charges_[i].first, end - charges_[i].first);
      call.request.cost = charges_[i].count;
      settings->attributes.Fill(call.request.attributes, call.request);
    }
    charges_.clear();
    entries_.clear();
    Charges* const pending = flight.release();
    if (core_.engine().Submit(pending->calls_, pending)) delete pending;
  }
  void Done() noexcept override { delete this; }

 private:
  struct Charge {
    std::size_t first = 0;  // in entries_
    std::uint64_t count = 0;
  };
  // Copies the entries: the message does not live as long.
  void Take(const std::vector<Attribute>& entries) {
    std::size_t size = 0;
    for (const Attribute& entry : entries) size += entry.name.size() + entry.value.size();
    texts_.reserve(size);
    const auto keep = [this](std::string_view text) {
      const std::size_t at = texts_.size();
      texts_.append(text);
      return std::string_view(texts_).substr(at);
    };
    for (const Attribute& entry : entries) {
      const std::string_view name = keep(entry.name);
      entries_.push_back({name, keep(entry.value)});
    }
  }

  DescriptorCore& core_;
  const std::string domain_;
  std::string texts_;
  std::vector<Attribute> entries_;
  std::vector<Charge> charges_;
  std::vector<engine::Call> calls_;
};

}  // namespace

// What is to be told on one stream, by any thread; sent on the stream's loop.
class RlqsService::Outbox final : public std::enable_shared_from_this<Outbox> {
 public:
  explicit Outbox(Stream& stream) : connection_(stream.connection().Share()), stream_(&stream) {}

  void Add(std::span<const Attribute> bucket, const Assignment& assignment, Nanos ttl) {
    const std::lock_guard lock(mutex_);
    if (unsent_.size() <= kMostUnread) AppendBucketAction(bucket, assignment, ttl, unsent_);
    if (posted_) return;
    posted_ = true;
    connection_->Post([self = shared_from_this()] { self->Send(); });
  }
  // On the loop: nobody needs to be woken to send what comes until Send().
  void Hold() {
    const std::lock_guard lock(mutex_);
    posted_ = true;
  }
  void Send() {
    std::string message;
    {
      const std::lock_guard lock(mutex_);
      message = std::exchange(unsent_, {});
      posted_ = false;
    }
    if (stream_ == nullptr || message.empty()) return;
    if (message.size() + stream_->queued() > kMostUnread) {
      return Finish({Code::kResourceExhausted, "assignments are not read"});
    }
    stream_->Send(std::move(message));
  }
  // On the loop.
  void Finish(Status status) {
    if (Stream* const stream = std::exchange(stream_, nullptr)) stream->Finish(std::move(status));
  }
  void Forget() { stream_ = nullptr; }
  bool open() const { return stream_ != nullptr; }

 private:
  const std::shared_ptr<net::Connection> connection_;
  Stream* stream_;  // on the loop only; nullptr: ended
  std::mutex mutex_;
  std::string unsent_;   // guarded by mutex_, as is what follows
  bool posted_ = false;  // Send() will be called
};

class RlqsService::Handler final : public StreamHandler {
 public:
  Handler(RlqsService& service, std::uint64_t id, std::shared_ptr<Outbox> outbox)
      : service_(service), id_(id), outbox_(std::move(outbox)) {}
  // Not every end is told by OnClose, and what is posted already must not reach a stream that is gone.
  ~Handler() override {
    outbox_->Forget();
    End();
  }

  void OnMessage(std::string_view message) override {
    if (!outbox_->open()) return;
    const auto reports = ReadUsageReports(message);
    if (!reports) return Refuse({Code::kInvalidArgument, reports.error().message});
    if (domain_.empty()) {
      if (reports->domain.empty()) return Refuse({Code::kInvalidArgument, "the first report must name a domain"});
      domain_ = reports->domain;
    } else if (!reports->domain.empty() && reports->domain != domain_) {
      return Refuse({Code::kInvalidArgument, "another domain than that of the first report needs another stream"});
    }
    outbox_->Hold();
    service_.Report(*this, *reports);
    outbox_->Send();
  }
  void OnHalfClose() override { Refuse({}); }
  void OnClose() override {
    outbox_->Forget();
    End();
  }
  void Refuse(Status status) {
    outbox_->Finish(std::move(status));
    End();
  }

  std::uint64_t id() const { return id_; }
  const std::string& domain() const { return domain_; }
  std::unordered_set<std::string>& keys() { return keys_; }

 private:
  void End() {
    if (std::exchange(ended_, true)) return;
    service_.Close(*this);
  }

  RlqsService& service_;
  const std::uint64_t id_;
  const std::shared_ptr<Outbox> outbox_;
  std::string domain_;
  std::unordered_set<std::string> keys_;  // of the buckets that it is a member of
  bool ended_ = false;
};

RlqsService::RlqsService(engine::Engine& engine, const QuotaOptions& options) : core_(engine), table_(options) {
  methods_.push_back({.path = "/envoy.service.rate_limit_quota.v3.RateLimitQuotaService/StreamRateLimitQuotas",
                      .number = 0,
                      .open = [this](Stream& stream) { return Open(stream); }});
}

RlqsService::~RlqsService() = default;

bool RlqsService::Answer(std::span<UnaryCall> calls, storage::Completion*) {
  for (UnaryCall& call : calls) call.status = {Code::kUnimplemented, "there is no such unary method"};
  return true;
}

std::unique_ptr<StreamHandler> RlqsService::Open(Stream& stream) {
  const std::uint64_t id = next_stream_.fetch_add(1, std::memory_order_relaxed);
  auto outbox = std::make_shared<Outbox>(stream);
  {
    const std::lock_guard lock(mutex_);
    outboxes_.emplace(id, outbox);
  }
  return std::make_unique<Handler>(*this, id, std::move(outbox));
}

void RlqsService::Report(Handler& handler, const UsageReports& reports) {
  const auto snapshot = core_.engine().snapshot();
  if (snapshot->FindDomain(handler.domain()) == nullptr &&
      snapshot->document().envoy.unknown_domain == UnknownDomain::kError) {
    return handler.Refuse({Code::kNotFound, "unknown domain '" + handler.domain().substr(0, 200) + "'"});
  }
  const Nanos now = core_.engine().clock().Now();
  const auto tell = [this](std::uint64_t stream, std::span<const Attribute> bucket, const Assignment& assignment,
                           Nanos ttl) { Tell(stream, bucket, assignment, ttl); };
  Charges charges(core_, handler.domain());
  std::uint64_t refused = reports.skipped;
  for (const BucketUsage& usage : reports.usages) {
    std::string key = QuotaTable::KeyOf(handler.domain(), usage.bucket);
    auto& keys = handler.keys();
    if (keys.size() >= kMostBucketsOfAStream && !keys.contains(key)) {
      ++refused;
      continue;
    }
    const QuotaTable::Reported reported =
        table_.Report(handler.id(), handler.domain(), key, usage, *snapshot, now, tell);
    refused += reported.known ? 0 : 1;
    if (reported.member) {
      keys.insert(std::move(key));
    } else {
      keys.erase(key);
    }
    if (reported.known && usage.allowed > 0) charges.Add(usage.bucket, reported.order, usage.allowed);
  }
  charges.Submit();
  reports_.fetch_add(reports.usages.size() + reports.skipped, std::memory_order_relaxed);
  if (refused > 0 && refused_.fetch_add(refused, std::memory_order_relaxed) == 0) {
    log::Warn("more quota buckets are reported than are kept; the others get no assignments",
              {{"domain", handler.domain().substr(0, 64)}});
  }
}

void RlqsService::Tell(std::uint64_t stream, std::span<const Attribute> bucket, const Assignment& assignment,
                       Nanos ttl) {
  std::shared_ptr<Outbox> outbox;
  {
    const std::lock_guard lock(mutex_);
    const auto found = outboxes_.find(stream);
    if (found == outboxes_.end()) return;
    outbox = found->second;
  }
  outbox->Add(bucket, assignment, ttl);
}

void RlqsService::Close(Handler& handler) {
  {
    const std::lock_guard lock(mutex_);
    outboxes_.erase(handler.id());
  }
  const Nanos now = core_.engine().clock().Now();
  const auto tell = [this](std::uint64_t stream, std::span<const Attribute> bucket, const Assignment& assignment,
                           Nanos ttl) { Tell(stream, bucket, assignment, ttl); };
  for (const std::string& key : handler.keys()) table_.Leave(handler.id(), key, now, tell);
  handler.keys().clear();
}

void RlqsService::Tick() {
  const auto snapshot = core_.engine().snapshot();
  table_.Tick(*snapshot, core_.engine().clock().Now(),
              [this](std::uint64_t stream, std::span<const Attribute> bucket, const Assignment& assignment, Nanos ttl) {
                Tell(stream, bucket, assignment, ttl);
              });
}

RlqsService::Counts RlqsService::counts() const {
  const QuotaTable::Counts table = table_.counts();
  Counts counts{.buckets = table.buckets,
                .members = table.members,
                .reports = reports_.load(std::memory_order_relaxed),
                .refused = refused_.load(std::memory_order_relaxed)};
  const std::lock_guard lock(mutex_);
  counts.streams = outboxes_.size();
  return counts;
}

}  // namespace weir::rls
