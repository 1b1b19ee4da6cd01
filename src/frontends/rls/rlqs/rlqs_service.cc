#include "frontends/rls/rlqs/rlqs_service.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/log.h"

namespace weir::rls {
namespace {

constexpr std::size_t kMostBucketsOfAStream = 10'000;
// What a data plane may leave unread before the next report ends its stream, and before what others bring about has to
// wait. The answer to a report is beside it, and about as long as the report.
constexpr std::size_t kMostUnread = 1 << 20;
// No message grows far beyond this.
constexpr std::size_t kSlice = 256 << 10;
constexpr std::size_t kChargedAtOnce = 64;

// Domains that the log names.
constexpr std::size_t kMostLogged = 100;

}  // namespace

// Charges the counters with what data planes report as admitted. Deletes itself once the engine has answered.
class RlqsService::Charges final : public storage::Completion {
 public:
  Charges(RlqsService& service, std::string_view domain)
      : core_(service.core_), service_(service), uncounted_(service.uncounted_), domain_(domain) {}
  ~Charges() { uncounted_->fetch_sub(bytes_, std::memory_order_relaxed); }
  Charges(const Charges&) = delete;
  Charges& operator=(const Charges&) = delete;

  void Add(std::span<const Attribute> bucket, std::span<const std::uint32_t> order, std::uint64_t count) {
    Charge& charge = charges_.emplace_back();
    charge.count = count;
    charge.first = entries_.size();
    for (const std::uint32_t at : order) entries_.push_back(bucket[at]);
    if (charges_.size() == kChargedAtOnce) Submit();
  }
  void Submit() {
    if (charges_.empty()) return;
    auto batch = std::make_unique<Charges>(service_, domain_);
    if (!batch->TakeRoom(entries_, charges_.size())) {
      service_.uncharged_.fetch_add(charges_.size(), std::memory_order_relaxed);
      charges_.clear();
      entries_.clear();
      return;
    }
    batch->Take(entries_);
    batch->calls_.resize(charges_.size());
    const auto settings = core_.CurrentSettings();
    for (std::size_t i = 0; i < charges_.size(); ++i) {
      const std::size_t end = i + 1 < charges_.size() ? charges_[i + 1].first : entries_.size();
      engine::Call& call = batch->calls_[i];
      call.kind = engine::CallKind::kCharge;
      call.descriptor = true;
      call.request.domain = batch->domain_;
      call.request.attributes = std::span(batch->entries_).subspan(charges_[i].first, end - charges_[i].first);
      call.request.cost = charges_[i].count;
      settings->attributes.Fill(call.request.attributes, call.request);
    }
    charges_.clear();
    entries_.clear();
    Charges* const pending = batch.release();
    if (core_.engine().Submit(pending->calls_, pending)) delete pending;
  }
  void Done() noexcept override { delete this; }

 private:
  struct Charge {
    std::size_t first = 0;  // in entries_
    std::uint64_t count = 0;
  };
  // Counts the memory of so many calls; false: too much is waiting for the engine already.
  bool TakeRoom(const std::vector<Attribute>& entries, std::size_t calls) {
    std::size_t bytes = sizeof(Charges) + calls * sizeof(engine::Call) + entries.size() * sizeof(Attribute);
    for (const Attribute& entry : entries) bytes += entry.name.size() + entry.value.size();
    const std::size_t before = uncounted_->fetch_add(bytes, std::memory_order_relaxed);
    bytes_ = bytes;
    return before + bytes <= service_.most_uncounted_bytes_;
  }
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
  RlqsService& service_;  // not once the engine has it
  const std::shared_ptr<std::atomic<std::size_t>> uncounted_;
  std::size_t bytes_ = 0;  // counted in uncounted_
  const std::string domain_;
  std::string texts_;
  std::vector<Attribute> entries_;
  std::vector<Charge> charges_;
  std::vector<engine::Call> calls_;
};

// What is to be told on one stream, by any thread; sent on the stream's loop.
class RlqsService::Outbox final : public std::enable_shared_from_this<Outbox> {
 public:
  explicit Outbox(Stream& stream) : connection_(stream.connection().Share()), stream_(&stream) {}

  // `answer`: to the stream's own report, on its loop. False: there is no room yet.
  bool Add(std::span<const Attribute> bucket, const Assignment& assignment, Nanos ttl, bool answer) {
    const std::lock_guard lock(mutex_);
    const bool room = answer || unsent_bytes_ <= kMostUnread;
    if (room) {
      if (unsent_.empty() || unsent_.back().size() >= kSlice) unsent_.emplace_back();
      std::string& slice = unsent_.back();
      unsent_bytes_ -= slice.size();
      AppendBucketAction(bucket, assignment, ttl, slice);
      unsent_bytes_ += slice.size();
    }
    if (!posted_) {
      posted_ = true;
      connection_->Post([self = shared_from_this()] { self->Send(false); });
    }
    return room;
  }
  // On the loop: nobody needs to be woken to send what comes until Send().
  void Hold() {
    const std::lock_guard lock(mutex_);
    posted_ = true;
  }
  // `answer`: to a report. Who reports and does not read is let go; what else is to be told waits for its reader.
  void Send(bool answer) {
    std::vector<std::string> slices;
    const bool unread = stream_ != nullptr && stream_->queued() > kMostUnread;
    {
      const std::lock_guard lock(mutex_);
      posted_ = false;
      if (unread && !answer) return;
      slices.swap(unsent_);
      unsent_bytes_ = 0;
    }
    if (stream_ == nullptr || slices.empty()) return;
    if (unread) return Finish({Code::kResourceExhausted, "assignments are not read"});
    for (std::string& slice : slices) stream_->Send(std::move(slice));
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
  std::vector<std::string> unsent_;  // each a message; guarded by mutex_, as is what follows
  std::size_t unsent_bytes_ = 0;
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
    outbox_->Send(true);
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
  const auto& held() const { return held_; }
  void Forget() { held_.clear(); }

  // What counts against a bucket that is new to it: nothing, if it is not.
  QuotaTable::Held HeldFor(const Key& key, Nanos now) {
    if (held_.contains(key)) return {};
    // Buckets come and go; the table forgets silent members without a word.
    const bool prune = held_.size() >= kPruned && (now < pruned_ || now - pruned_ >= kSecond);
    if (prune) {
      pruned_ = now;
      std::erase_if(held_, [this](const auto& one) {
        if (service_.table_.IsMember(id_, one.first)) return false;
        held_bytes_ -= one.second;
        return true;
      });
    }
    return {.buckets = held_.size(), .bytes = held_bytes_};
  }
  void Note(const Key& key, const QuotaTable::Reported& reported) {
    const auto found = held_.find(key);
    if (found != held_.end() && (!reported.member || reported.bytes > 0)) {
      held_bytes_ -= found->second;
      held_.erase(found);
    }
    if (reported.member && held_.try_emplace(key, reported.bytes).second) held_bytes_ += reported.bytes;
  }

 private:
  static constexpr std::size_t kPruned = 100;
  void End() {
    if (std::exchange(ended_, true)) return;
    service_.Close(*this);
  }

  RlqsService& service_;
  const std::uint64_t id_;
  const std::shared_ptr<Outbox> outbox_;
  std::string domain_;
  std::unordered_map<Key, std::size_t, KeyHash> held_;  // the buckets that it is a member of, and what each takes
  std::size_t held_bytes_ = 0;                          // their sum
  Nanos pruned_ = 0;
  bool ended_ = false;
};

RlqsService::RlqsService(engine::Engine& engine, const QuotaOptions& options)
    : core_(engine),
      clock_(options.clock != nullptr ? *options.clock : MonotonicClock()),
      table_(options),
      ttl_(options.ttl),
      most_uncounted_bytes_(options.most_uncounted_bytes) {
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
  const config::DomainEntry* const domain = snapshot->FindDomain(handler.domain());
  const Moment at = Now();
  reports_.fetch_add(reports.usages.size() + reports.skipped, std::memory_order_relaxed);
  Charges charges(*this, handler.domain());
  std::uint64_t refused = reports.skipped, unassigned = 0;
  if (domain == nullptr) {
    ReportUnknownDomain(handler, reports, snapshot->document().envoy.unknown_domain, charges);
  } else {
    const auto tell = [&](std::uint64_t stream, std::span<const Attribute> bucket, const Assignment& assignment,
                          Nanos ttl) { return Notify(handler.id(), stream, bucket, assignment, ttl); };
    for (const BucketUsage& usage : reports.usages) {
      const Key key = QuotaTable::KeyOf(handler.domain(), usage.bucket);
      const QuotaTable::Held held = handler.HeldFor(key, at.now);
      if (held.buckets >= kMostBucketsOfAStream) {
        ++refused;
        continue;
      }
      const QuotaTable::Reported reported =
          table_.Report(handler.id(), held, handler.domain(), key, usage, *snapshot, at, tell);
      refused += reported.known ? 0 : 1;
      unassigned += reported.unassigned ? 1U : 0U;
      handler.Note(key, reported);
      if (reported.known && usage.allowed > 0) charges.Add(usage.bucket, reported.order, usage.allowed);
    }
  }
  charges.Submit();
  if (unassigned > 0) {
    unassigned_.fetch_add(unassigned, std::memory_order_relaxed);
    WarnOfUnassigned(handler.domain());
  }
  if (refused > 0) {
    refused_.fetch_add(refused, std::memory_order_relaxed);
    WarnOfRefused(handler.domain(), at.now);
  }
}

// The charges tell of the domain, in the engine's counts and in the log.
void RlqsService::ReportUnknownDomain(Handler& handler, const UsageReports& reports, UnknownDomain policy,
                                      Charges& charges) {
  static constexpr std::array<std::uint32_t, kMostBucketEntries> kOrder = {0, 1, 2,  3,  4,  5,  6,  7,
                                                                           8, 9, 10, 11, 12, 13, 14, 15};
  const Budget budget = BudgetOfUnknownDomain(policy);
  for (const BucketUsage& usage : reports.usages) {
    charges.Add(usage.bucket, std::span(kOrder).first(usage.bucket.size()), usage.allowed);
    if (budget.kind == Budget::Kind::kUnknown) continue;
    Notify(handler.id(), handler.id(), usage.bucket, PartOf(budget, 0), ttl_);
  }
  if (policy == UnknownDomain::kHierarchy) {
    unassigned_.fetch_add(reports.usages.size(), std::memory_order_relaxed);
  } else if (policy == UnknownDomain::kError) {
    handler.Refuse({Code::kNotFound, "unknown domain '" + handler.domain() + "'"});
  }
}

void RlqsService::WarnOfRefused(std::string_view domain, Nanos now) {
  Nanos last = warned_.load(std::memory_order_relaxed);
  if (last != INT64_MIN && now >= last && now - last < kMinute) return;
  if (!warned_.compare_exchange_strong(last, now, std::memory_order_relaxed)) return;
  log::Warn(
      "reports of quota buckets that are too many, too long, not UTF-8 or of too many data planes; they get no "
      "assignments",
      {{"domain", std::string(domain)}});
}

void RlqsService::WarnOfUnassigned(const std::string& domain) {
  {
    const std::lock_guard lock(mutex_);
    if (told_of_.size() >= kMostLogged || !told_of_.insert(domain).second) return;
  }
  log::Warn("data planes report buckets that quotas cannot limit; they are told nothing", {{"domain", domain}});
}

bool RlqsService::Notify(std::uint64_t reporter, std::uint64_t stream, std::span<const Attribute> bucket,
                         const Assignment& assignment, Nanos ttl) {
  std::shared_ptr<Outbox> outbox;
  {
    const std::lock_guard lock(mutex_);
    const auto found = outboxes_.find(stream);
    if (found == outboxes_.end()) return true;  // it has ended, and is about to leave its buckets
    outbox = found->second;
  }
  return outbox->Add(bucket, assignment, ttl, stream == reporter);
}

void RlqsService::Close(Handler& handler) {
  {
    const std::lock_guard lock(mutex_);
    outboxes_.erase(handler.id());
  }
  const Nanos now = clock_.Now();
  const auto tell = [this](std::uint64_t stream, std::span<const Attribute> bucket, const Assignment& assignment,
                           Nanos ttl) { return Notify(0, stream, bucket, assignment, ttl); };
  for (const auto& [key, bytes] : handler.held()) table_.Leave(handler.id(), key, now, tell);
  handler.Forget();
}

void RlqsService::Tick() {
  const auto snapshot = core_.engine().snapshot();
  table_.Tick(*snapshot, Now(),
              [this](std::uint64_t stream, std::span<const Attribute> bucket, const Assignment& assignment, Nanos ttl) {
                return Notify(0, stream, bucket, assignment, ttl);
              });
}

RlqsService::Counts RlqsService::counts() const {
  const QuotaTable::Counts table = table_.counts();
  Counts counts{.buckets = table.buckets,
                .members = table.members,
                .reports = reports_.load(std::memory_order_relaxed),
                .refused = refused_.load(std::memory_order_relaxed),
                .unassigned = unassigned_.load(std::memory_order_relaxed),
                .uncharged = uncharged_.load(std::memory_order_relaxed)};
  const std::lock_guard lock(mutex_);
  counts.streams = outboxes_.size();
  return counts;
}

}  // namespace weir::rls
