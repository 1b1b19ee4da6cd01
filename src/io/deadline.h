// One timer for the soonest of many deadlines. Arming costs nothing when an earlier one stands already; what was
// answered in time leaves the timer armed, and the call then finds nothing due. Lives on one I/O thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <utility>

#include "io/steady.h"

namespace weir::io {

inline constexpr Nanos kNever = INT64_MAX;

class Deadline {
 public:
  explicit Deadline(boost::asio::io_context& io) : timer_(io) {}

  // Calls `owner->*due` at `at` (SteadyNow()'s clock) unless an earlier call is armed. `owner` lives until then.
  template <typename Owner>
  void Arm(Nanos at, std::shared_ptr<Owner> owner, void (Owner::*due)()) {
    if (at >= armed_) return;
    armed_ = at;
    timer_.expires_at(SteadyPoint(at));
    timer_.async_wait([this, owner = std::move(owner), due, at](const boost::system::error_code& fault) {
      if (fault || armed_ != at) return;
      armed_ = kNever;
      (owner.get()->*due)();
    });
  }
  void Cancel() { timer_.cancel(); }

 private:
  boost::asio::steady_timer timer_;
  Nanos armed_ = kNever;
};

}  // namespace weir::io
