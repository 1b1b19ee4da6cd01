#include "analytics/event_log.h"

#include <fmt/format.h>

#include <chrono>
#include <string>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "base/path.h"

namespace weir::analytics {
namespace {

bool IsEvent(const engine::Call& call) noexcept {
  using engine::CallKind;
  if (call.decision.allowed || call.request.cost == 0) return false;
  return call.kind == CallKind::kCheck || call.kind == CallKind::kReserve || call.kind == CallKind::kCharge;
}

void WriteLine(const Denial& denial) {
  const auto text = [](const auto& one) { return std::string(one.view()); };
  log::Info("denied", {{"reason", std::string(ToString(denial.reason))},
                       {"rule", std::string(denial.rule)},
                       {"level", denial.rule.empty() ? "" : std::string(ToString(denial.level))},
                       {"action", std::string(ToString(denial.action))},
                       {"limit", std::to_string(denial.limit)},
                       {"cost", std::to_string(denial.cost)},
                       {"retry_after_ms", std::to_string((denial.retry_after + kMillisecond - 1) / kMillisecond)},
                       {"subject", fmt::format("{:016x}", denial.subject_hash)},
                       {"domain", text(denial.domain)},
                       {"tenant", text(denial.tenant)},
                       {"user", text(denial.user)},
                       {"peer", text(denial.peer)},
                       {"method", text(denial.method)},
                       {"path", text(denial.path)}});
}

void WriteLeftOut(std::uint64_t count) {
  log::Info("denials not logged one by one", {{"count", std::to_string(count)}});
}

}  // namespace

EventLog::EventLog() : EventLog(&WriteLine, &WriteLeftOut) {}

EventLog::EventLog(Sink write, LeftOutSink left_out) : write_(std::move(write)), tell_left_out_(std::move(left_out)) {
  for (std::size_t i = 0; i < kSlots; ++i) slots_[i].turn.store(i, std::memory_order_relaxed);
}

EventLog::~EventLog() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  Flush();
}

void EventLog::Enable(bool enabled) {
  const std::lock_guard lock(mutex_);
  enabled_.store(enabled, std::memory_order_relaxed);
  if (enabled && !thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  ending_.notify_all();
}

bool EventLog::Admit(Nanos now) noexcept {
  const auto second = static_cast<std::uint64_t>(now / kSecond);
  std::uint64_t seen = window_.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t count = seen >> 16 == second ? seen & 0xffff : 0;
    if (count >= kPerSecond) return false;
    if (window_.compare_exchange_weak(seen, (second << 16) + count + 1, std::memory_order_relaxed)) return true;
  }
}

EventLog::Slot* EventLog::Take(std::uint64_t& ticket) noexcept {
  ticket = tail_.load(std::memory_order_relaxed);
  for (;;) {
    Slot& slot = slots_[ticket % kSlots];
    const std::uint64_t turn = slot.turn.load(std::memory_order_acquire);
    if (turn < ticket) return nullptr;
    if (turn > ticket) {
      ticket = tail_.load(std::memory_order_relaxed);
    } else if (tail_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_relaxed)) {
      return &slot;
    }
  }
}

void EventLog::OnDecision(const engine::DecisionEvent& event) noexcept {
  const engine::Call& call = event.call;
  const Nanos now = event.now;
  if (!enabled_.load(std::memory_order_relaxed) || !IsEvent(call)) return;
  std::uint64_t ticket = 0;
  Slot* const slot = Admit(now) ? Take(ticket) : nullptr;
  if (slot == nullptr) {
    left_out_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  Denial& denial = slot->denial;
  const Request& request = call.request;
  denial.at = now;
  denial.action = call.decision.action;
  denial.reason = call.decision.reason;
  const RuleOutcome* const decider = call.decision.decider();
  denial.rule = decider != nullptr ? decider->rule : std::string_view();
  denial.level = decider != nullptr ? decider->level : Level::kGlobal;
  denial.subject_hash = event.SubjectHash(call.decision.deciding);
  denial.limit = decider != nullptr ? decider->outcome.limit : 0;
  denial.retry_after =
      decider != nullptr && call.decision.reason != Reason::kNeverFits ? decider->outcome.retry_after_ns : 0;
  denial.cost = request.cost;
  denial.domain.Assign(request.domain);
  denial.user.Assign(request.user);
  denial.tenant.Assign(request.tenant);
  denial.peer.Assign(request.peer_ip);
  denial.method.Assign(request.method);
  denial.path.Assign(PathOfTarget(request.path));
  slot->turn.store(ticket + 1, std::memory_order_release);
}

void EventLog::OnRevision(const config::Revision& /*revision*/, const config::Snapshot& snapshot) noexcept {
  const bool wanted = snapshot.document().analytics.event_logging;
  try {
    Enable(wanted);
  } catch (const std::system_error& error) {  // there is no thread for it
    log::Error("denials are not logged", {{"why", error.what()}});
  }
}

void EventLog::Flush() {
  const std::lock_guard lock(writing_);
  for (;;) {
    Slot& slot = slots_[head_ % kSlots];
    if (slot.turn.load(std::memory_order_acquire) != head_ + 1) break;
    const Denial denial = slot.denial;
    slot.turn.store(head_ + kSlots, std::memory_order_release);
    ++head_;
    write_(denial);
  }
  if (const std::uint64_t count = left_out_.exchange(0, std::memory_order_relaxed); count > 0) tell_left_out_(count);
}

void EventLog::Run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const bool enabled = enabled_.load(std::memory_order_relaxed);
    lock.unlock();
    Flush();
    lock.lock();
    // While there is nothing to wait for, it sleeps until it is enabled again.
    const auto changed = [&] { return enabled_.load(std::memory_order_relaxed) != enabled; };
    if (enabled) {
      ending_.wait_for(lock, stop, std::chrono::milliseconds(100), changed);
    } else {
      ending_.wait(lock, stop, changed);
    }
  }
}

}  // namespace weir::analytics
