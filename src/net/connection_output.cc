// The other half of a connection: what is sent, what it may hold, and its end.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/log.h"
#include "net/connection.h"

namespace weir::net {
namespace {

// Of input that is not consumed, kept although empty.
constexpr std::size_t kKeepInput = 4 << 10;
// What a string holds without a buffer.
const std::size_t kInlineBytes = std::string().capacity();
// How long a closing connection waits for the peer's end, so that a reset does not overtake the last answer.
constexpr std::int64_t kLingerMs = 1'000;
// The same while the server drains, which waits for it.
constexpr std::int64_t kDrainLingerMs = 250;

}  // namespace

void SocketConnection::Settle() {
  if (entered_ > 0 || state_ == State::kClosed) return;
  Take();
  for (;;) {
    Answer();
    if (broken_ || !SendSome()) return Close();
    if (!waiting_input_ || !MayDeliver()) break;
    OfferAgain();
  }
  if (output_.empty()) ReturnOutput(output_);
  const bool output_overflows = unsent() > loop_.options().max_output_bytes;
  if (output_overflows || input_.size() > loop_.options().max_input_bytes) {
    loop_.counters().overflow_closed.Add(1);
    log::Info("connection closed at its bound",
              {{"peer", peer_}, {"bound", output_overflows ? "max_output_bytes" : "max_input_bytes"}});
    return Close();
  }
  if (!CountBuffers()) {
    loop_.counters().crowded_closed.Add(1);
    log::Info("connection closed at its bound", {{"peer", peer_}, {"bound", "max_buffered_bytes"}});
    return Close();
  }
  NoteUnsent();
  if (unsent() == 0) {
    if (state_ == State::kClosing) return FinishClosing();
    if (state_ == State::kOpen && eof_ && !paused_ && !waiting_input_) return Close();
  }
  Continue();
}

bool SocketConnection::SendSome() {
  if (!writable_) return true;
  if (tls_ != nullptr && !output_.empty()) {
    if (wire_.empty() && wire_.capacity() <= kInlineBytes) wire_ = loop_.TakeSpare();
    if (!cipher_broken_ && !tls_->Send(output_, wire_)) return false;
    ReturnOutput(output_);
  }
  std::string& bytes = tls_ == nullptr ? output_ : wire_;
  if (bytes.empty()) return true;
  while (sent_ < bytes.size()) {
    const ssize_t sent = send(fd_.get(), bytes.data() + sent_, bytes.size() - sent_, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
      // Moved seldom enough that each byte moves at most twice.
      if (sent_ > bytes.size() / 2) bytes.erase(0, std::exchange(sent_, 0));
      writable_ = false;
      return true;
    }
    sent_ += static_cast<std::size_t>(sent);
    owed_ -= std::min(owed_, static_cast<std::size_t>(sent));
    last_activity_ms_ = loop_.turn_ms();
    loop_.counters().bytes_out.Add(static_cast<std::uint64_t>(sent));
  }
  sent_ = 0;
  ReturnOutput(bytes);
  return true;
}

bool SocketConnection::CountBuffers() {
  std::size_t held = input_.empty() ? 0 : input_.capacity();
  if (unsent() > 0) held += output_.capacity() + wire_.capacity();
  held += session_->held();
  // What any connection may keep is not worth counting: nearly all never touch the shared sum.
  if (held <= kKeepInput) held = 0;
  if (held == counted_) [[likely]]
    return true;
  if (held > counted_) {
    if (!loop_.TakeBuffer(held - counted_)) return false;
  } else {
    loop_.GiveBuffer(counted_ - held);
  }
  counted_ = held;
  return true;
}

void SocketConnection::UncountBuffers() {
  if (counted_ > 0) loop_.GiveBuffer(std::exchange(counted_, 0));
}

// What waits now must be gone within the idle timeout, however much more has come behind it by then: so a peer that
// takes it slowly but steadily is left alone, and one that takes a byte now and then is not.
void SocketConnection::NoteUnsent() {
  const std::size_t waiting = unsent();
  if (waiting == 0) {
    unsent_since_ms_ = 0;
    owed_ = 0;
  } else if (unsent_since_ms_ == 0 || owed_ == 0) {
    unsent_since_ms_ = Loop::NowMs();
    owed_ = waiting;
  }
}

void SocketConnection::BorrowOutput() {
  if (output_.empty() && output_.capacity() <= kInlineBytes) output_ = loop_.TakeSpare();
}

void SocketConnection::ReturnOutput(std::string& sent) {
  sent.clear();
  if (sent.capacity() > kInlineBytes) loop_.GiveSpare(std::exchange(sent, std::string()));
}

void SocketConnection::Discard() {
  constexpr int kReadsPerTurn = 16;
  const auto scratch = loop_.scratch();
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const ssize_t got = recv(fd_.get(), scratch.data(), scratch.size(), 0);
    if (got > 0 || (got < 0 && errno == EINTR)) continue;
    readable_ = false;
    if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) eof_ = true;
    return;
  }
}

void SocketConnection::FinishClosing() {
  if (tls_ != nullptr) {
    tls_->Shutdown(wire_);
    // The goodbye fits into an empty socket buffer, or is not worth waiting for.
    if (!SendSome() || unsent() > 0) return Close();
  }
  Discard();
  // Who has been silent for long has the last answer.
  const bool silent = Loop::NowMs() - last_activity_ms_ > kLingerMs;
  if (eof_ || (draining_ && silent)) return Close();
  shutdown(fd_.get(), SHUT_WR);
  state_ = State::kLingering;
  std::string().swap(input_);
  UncountBuffers();
  loop_.wheel().Schedule(*this, Loop::NowMs() + kLingerMs);
  if (draining_) CloseSoon();
  Continue();
}

void SocketConnection::CloseSoon() {
  ClearAlarm();
  wake_at_ms_ = Loop::NowMs() + kDrainLingerMs;
  loop_.SetAlarm(*this, wake_at_ms_);
}

}  // namespace weir::net
