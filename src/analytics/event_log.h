// A log line for each denial (analytics.event_logging), bounded in rate: a flood of denials must not become a flood of
// lines. The deciding thread only copies what will be told; a thread of this object's own writes it a moment later.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "engine/engine.h"

namespace weir::analytics {

// Text copied into fixed room; what does not fit is left out.
template <std::size_t N>
class ShortText {
 public:
  void Assign(std::string_view text) noexcept {
    size_ = text.size() < N ? text.size() : N;
    text.copy(room_.data(), size_);
  }
  std::string_view view() const { return {room_.data(), size_}; }

 private:
  std::size_t size_ = 0;
  std::array<char, N> room_;
};

// What a line tells. No api keys and no queries: they may be secrets.
struct Denial {
  Nanos at = 0;
  Action action = Action::kDeny;
  Reason reason = Reason::kOverLimit;
  Level level = Level::kGlobal;    // of `rule`
  std::string_view rule;           // readable for Name::kLinger; empty: no rule denied (a block, an unknown domain)
  std::uint64_t subject_hash = 0;  // whom it counted, without telling
  std::uint64_t limit = 0;         // of `rule`
  std::uint64_t cost = 0;
  Nanos retry_after = 0;  // 0: never, or not known
  ShortText<64> domain, user, tenant;
  ShortText<64> peer;  // of the connection: behind a proxy, the proxy
  ShortText<16> method;
  ShortText<256> path;
};

class EventLog final : public engine::Observer {
 public:
  static constexpr std::uint32_t kPerSecond = 100;

  using Sink = std::function<void(const Denial&)>;
  using LeftOutSink = std::function<void(std::uint64_t count)>;
  // By default both write to the log. They are called by one thread at a time.
  EventLog();
  EventLog(Sink write, LeftOutSink left_out);
  // Writes what is still waiting.
  ~EventLog() override;

  // Off at first.
  void Enable(bool enabled);
  // Only kCheck, kReserve and kCharge with a cost are events: a peek denies nobody.
  std::uint32_t interest() const noexcept override { return engine::kDeniedDecisions | engine::kRevisions; }
  void OnDecision(const engine::DecisionEvent& event) noexcept override;
  // As the policy in force says.
  void OnRevision(const config::Revision& revision, const config::Snapshot& snapshot) noexcept override;
  // Writes what waits, on the calling thread. Happens by itself ten times a second while enabled.
  void Flush();

 private:
  // A place of the queue. `turn` says whose it is: n, the writer of ticket n; n + 1, its reader.
  struct Slot {
    std::atomic<std::uint64_t> turn{0};
    Denial denial;
  };
  static constexpr std::size_t kSlots = 256;

  bool Admit(Nanos now) noexcept;
  // nullptr: the queue is full.
  Slot* Take(std::uint64_t& ticket) noexcept;
  void Run(const std::stop_token& stop);

  const Sink write_;
  const LeftOutSink tell_left_out_;
  std::atomic<bool> enabled_{false};
  // The second that is counted, and how many were admitted in it: (second << 16) + count.
  std::atomic<std::uint64_t> window_{0};
  std::atomic<std::uint64_t> left_out_{0};  // since it was told last
  std::atomic<std::uint64_t> tail_{0};      // the next ticket
  std::array<Slot, kSlots> slots_;

  std::mutex writing_;
  std::uint64_t head_ = 0;  // by writing_: the next ticket to be read

  std::mutex mutex_;
  std::condition_variable_any ending_;
  std::jthread thread_;  // the last: ends before what it uses
};

}  // namespace weir::analytics
