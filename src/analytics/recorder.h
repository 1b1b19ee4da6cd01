// The last hour's decisions, of a sample, to be replayed: what was asked, and what came of it.
//
// The sample is of subjects, not of decisions: of a subject that is in it every decision is kept, so that limits of one
// subject replay as they were; of limits that many subjects share only the sample's part is seen. A subject is the
// request's user, else its API key, else its address, else its descriptor. Which subjects are in the sample nobody can
// choose: their positions are hashed with a secret of the process. When what is kept exceeds its bound, the share is
// halved, and what is no longer in it forgotten; when there is room for an hour, it is doubled again.
//
// No secrets are kept: an API key is replaced by a name for it that only this process knows; headers that carry
// credentials and the query of a path are left out.
#pragma once

#include <absl/functional/function_ref.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "base/crypto/siphash.h"
#include "base/thread_slot.h"
#include "engine/engine.h"
#include "weir/request.h"

namespace weir::analytics {

// Borrows from the recorder while it is visited.
struct RecordedDecision {
  std::uint64_t number = 0;  // ascending from 1, with gaps
  Nanos at = 0;              // of the engine's clock
  bool allowed = false;
  bool descriptor = false;  // Call::descriptor
  Reason reason = Reason::kOk;
  std::string_view rule = {};  // that denied, else the one nearest to it; empty: none
  Request request = {};
};

struct RecorderOptions {
  const Clock* clock = nullptr;  // the engine's; outlives it
  std::size_t most_bytes = std::size_t{32} << 20;
  Nanos keep = kHour;
};

struct RecorderStats {
  std::uint64_t recorded = 0;  // since the start
  std::uint64_t kept = 0;      // of these, now
  std::uint64_t outside = 0;   // decisions of subjects that are not in the sample
  std::uint64_t left_out = 0;  // decisions of subjects in it that there was no room for, or that were too large
  std::size_t bytes = 0;       // that are kept
  double share = 1;            // of the subjects
  Nanos oldest = 0;            // of what is kept; 0: nothing is
};

// Thread-safe. Takes most_bytes, and 4.5 MB beside it.
class Recorder final : public engine::Observer {
 public:
  static constexpr std::size_t kMostRecord = 4'096;  // bytes of one decision
  static constexpr std::size_t kMostPairs = 64;      // headers, and descriptors, of one decision

  explicit Recorder(RecorderOptions options);
  ~Recorder() override;

  // What costs something and is no peek. What brings its own limit (CL.THROTTLE) is no business of a policy.
  std::uint32_t interest() const noexcept override { return engine::kAllDecisions; }
  void OnDecision(const engine::DecisionEvent& event) noexcept override;

  // Takes over what was told since, and forgets what is too old. For a job, ten times a second.
  void Drain();

  // In the order in which they were decided, from number `from` on, until `visit` returns false. Returns the number
  // behind the last one that was visited. `visit` may take long.
  std::uint64_t Visit(std::uint64_t from, absl::FunctionRef<bool(const RecordedDecision&)> visit) const;
  RecorderStats Stats() const;

 private:
  struct Chunk;
  struct Head;
  // A place of the queue. `turn` says whose it is: n, the writer of ticket n; n + 1, its reader.
  struct Place {
    std::atomic<std::uint64_t> turn{0};
    std::size_t size = 0;
    std::array<char, kMostRecord> bytes;
  };
  static constexpr std::size_t kPlaces = 1'024;
  struct alignas(64) Outside {
    std::atomic<std::uint64_t> count{0};
  };

  std::uint64_t PositionOf(const Request& request) const noexcept;
  Place* Take(std::uint64_t& ticket) noexcept;
  std::size_t Encode(const engine::DecisionEvent& event, std::uint64_t position, std::span<char> room) const noexcept;
  // By mutex_.
  void Keep(std::span<const char> record);
  void Forget(Nanos now);
  void FitShare(bool flooded, Nanos now);
  void Narrow();

  const RecorderOptions options_;
  const SipKey secret_;
  std::atomic<std::uint64_t> share_;  // positions below it are in the sample
  std::array<Outside, kSlotCount> outside_;
  std::atomic<std::uint64_t> left_out_{0};
  std::atomic<std::uint64_t> tail_{0};  // the next ticket
  std::unique_ptr<std::array<Place, kPlaces>> places_;

  mutable std::mutex mutex_;  // guards what follows
  std::uint64_t head_ = 0;    // the next ticket to be read
  std::deque<std::shared_ptr<Chunk>> chunks_;
  std::size_t bytes_ = 0;
  std::uint64_t next_ = 1;  // the number of the next record
  std::uint64_t kept_ = 0;
  std::uint64_t full_ = 0;  // of left_out_, when it was looked at last
  Nanos share_since_ = 0;   // when it was changed last
};

}  // namespace weir::analytics
