#include "net/connection.h"

#include <absl/cleanup/cleanup.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>

#include "base/log.h"

namespace weir::net {
namespace {

// No more is read from a peer that has this much of its answers still to take.
constexpr std::size_t kHighWater = 256 << 10;
constexpr std::size_t kKeepInput = 4 << 10;
constexpr int kLittleInput = 4 << 10;
constexpr std::int64_t kHandshakeMs = 10'000;

}  // namespace

SocketConnection::SocketConnection(Loop& loop, Descriptor fd, std::string peer)
    : loop_(loop),
      mailbox_(loop.shared_mailbox()),
      fd_(std::move(fd)),
      last_activity_ms_(Loop::NowMs()),
      peer_(std::move(peer)) {}

SocketConnection::~SocketConnection() = default;

bool SocketConnection::Watch() { return loop_.Watch(fd_.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, *this); }

template <typename Call>
void SocketConnection::Enter(Call&& call) {
  BorrowOutput();
  ++entered_;
  try {
    call();
  } catch (const std::exception& error) {
    log::Error("session failed", {{"reason", error.what()}, {"peer", peer_}});
    broken_ = true;
  }
  --entered_;
}

void SocketConnection::Start(const ListenerState& listener) {
  const std::int64_t idle_ms = loop_.options().idle_timeout_ms;
  if (auto tls = listener.Tls()) {
    tls_ = TlsStream::Accept(std::move(tls));
    if (tls_ == nullptr) return Close();
    loop_.wheel().Schedule(*this, last_activity_ms_ + (idle_ms == 0 ? kHandshakeMs : std::min(idle_ms, kHandshakeMs)));
  } else if (idle_ms != 0) {
    loop_.wheel().Schedule(*this, last_activity_ms_ + idle_ms);
  }
  Enter([&] { session_ = listener.sessions(*this); });
  if (session_ == nullptr) return Close();
  // What the client sent with its handshake is often here already.
  ReadNow();
  Settle();
}

void SocketConnection::StartDrain() {
  if (state_ == State::kLingering) {
    draining_ = true;
    return CloseSoon();
  }
  if (state_ != State::kOpen) return;
  // Requests that have arrived are in hand, though this loop has not seen them yet.
  Take();
  if (state_ == State::kOpen && !broken_ && !paused_ && !eof_ && unsent() < kHighWater) ReadNow();
  draining_ = true;
  if (state_ == State::kOpen) {
    Enter([this] { session_->OnDrain(); });
  }
  Settle();
}

void SocketConnection::Close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  IdleWheel::Cancel(*this);
  // Not only at the end of the turn, which may close many. Within a call the session may still look at them.
  if (entered_ == 0) FreeBuffers();
  UncountBuffers();
  ClearAlarm();
  fd_ = Descriptor();
  loop_.Forget(*this);
}

void SocketConnection::FreeBuffers() {
  ReturnOutput(output_);
  ReturnOutput(wire_);
  std::string().swap(input_);
  sent_ = 0;
}

void SocketConnection::Abandon() {
  state_ = State::kClosed;
  IdleWheel::Cancel(*this);
  UncountBuffers();
  ClearAlarm();
  session_.reset();
  fd_ = Descriptor();
  ReturnOutput(output_);
}

void SocketConnection::CloseIdle() {
  loop_.counters().idle_closed.Add(1);
  // The session's last word, if it had one and the socket takes it at once.
  if (!broken_ && !output_.empty() && sent_ == 0) SendSome();
  Close();
}

void SocketConnection::OnDeadline(std::int64_t now_ms) {
  const std::int64_t idle_ms = loop_.options().idle_timeout_ms;
  if (state_ == State::kLingering) return Close();
  const bool in_handshake = tls_ != nullptr && !tls_->established();
  const auto past = [&](std::int64_t since_ms) { return idle_ms != 0 && now_ms - since_ms >= idle_ms; };
  // A request that comes in drops holds its connection no longer than silence does, give or take.
  const bool unfinished = unfinished_since_ms_ != 0 && past(unfinished_since_ms_);
  if (in_handshake || unfinished) return CloseIdle();
  // Nor does an answer that is taken in drops.
  if (unsent_since_ms_ != 0 && past(unsent_since_ms_)) {
    loop_.counters().slow_closed.Add(1);
    log::Info("connection closed: its peer does not take what was answered", {{"peer", peer_}});
    return Close();
  }
  // While something is unsent that rule alone holds: an answer that took long to make is younger than the last
  // activity.
  if (unsent_since_ms_ == 0 && past(last_activity_ms_)) {
    bool goes_on = false;
    if (state_ == State::kOpen) {
      Enter([&] { goes_on = session_->OnIdle(); });
    }
    if (!goes_on) return CloseIdle();
    // Counted anew, also when the session had nothing to send.
    last_activity_ms_ = now_ms;
    Settle();
    if (state_ == State::kClosed) return;
  }
  if (idle_ms == 0) return;
  const std::int64_t since_ms = unsent_since_ms_ != 0 ? unsent_since_ms_ : last_activity_ms_;
  loop_.wheel().Schedule(*this, since_ms + idle_ms);
}

void SocketConnection::OnAlarm() {
  wake_at_ms_ = 0;
  if (state_ == State::kLingering) return Close();
  if (state_ != State::kOpen) return;
  Enter([this] { session_->OnWake(); });
  Settle();
}

void SocketConnection::ClearAlarm() {
  if (wake_at_ms_ != 0) loop_.ClearAlarm(*this, std::exchange(wake_at_ms_, 0));
}

// ---- the session's side ----

void SocketConnection::Flush() { Settle(); }

void SocketConnection::Resume() {
  paused_ = false;
  Settle();
}

void SocketConnection::Yield() {
  paused_ = yielded_ = true;
  AskAgain();
}

bool SocketConnection::TakeRoom(std::size_t bytes) {
  if (!loop_.TakeBuffer(bytes)) {
    loop_.counters().room_refused.Add(1);
    return false;
  }
  counted_ += bytes;
  return true;
}

void SocketConnection::CloseAfterFlush() {
  if (state_ == State::kOpen) state_ = State::kClosing;
  Settle();
}

void SocketConnection::WakeAfter(std::uint32_t ms) {
  const std::int64_t at_ms = Loop::NowMs() + std::max<std::int64_t>(ms, 1);
  if (state_ != State::kOpen || (wake_at_ms_ != 0 && wake_at_ms_ <= at_ms)) return;
  ClearAlarm();
  loop_.SetAlarm(*this, at_ms);
  wake_at_ms_ = at_ms;
}

void SocketConnection::Post(std::function<void()> task) {
  mailbox_->Push([weak = weak_from_this(), task = std::move(task)] {
    if (const auto self = weak.lock()) self->RunPosted(task);
  });
}

void SocketConnection::RunPosted(const std::function<void()>& task) {
  if (state_ == State::kClosed) return;
  Enter(task);
  Settle();
}

// ---- input ----

void SocketConnection::NoteReady(std::uint32_t events) {
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) readable_ = true;
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) hung_up_ = true;
  if ((events & EPOLLOUT) != 0) writable_ = true;
}

void SocketConnection::Defer(std::uint32_t events) {
  if (state_ == State::kClosed) return;
  NoteReady(events);
  // What has come is told by the kernel, and what it will cost is not; but little cannot cost much.
  int waiting = 0;
  const bool reads = (events & EPOLLIN) != 0;
  AskAgain(!reads || (ioctl(fd_.get(), FIONREAD, &waiting) == 0 && waiting <= kLittleInput));
}

void SocketConnection::OnReady(std::uint32_t events) {
  // From the loop's list: a paused session has waited for its turn.
  if (events == 0) {
    again_ = false;
    if (std::exchange(yielded_, false)) paused_ = false;
  }
  if (state_ == State::kClosed) return;
  NoteReady(events);
  if (state_ == State::kLingering) {
    Discard();
    return eof_ ? Close() : Continue();
  }
  // Twice in a turn: the session sees the previous first.
  Take();
  if (MayRead()) ReadOnce();
  loop_.SettleLater(*this);
}

void SocketConnection::Take() {
  const std::string_view bytes = std::exchange(fresh_, {});
  if (bytes.empty() || state_ != State::kOpen) return;
  if (tls_ == nullptr) {
    Deliver(bytes);
  } else {
    ReceiveCipher(bytes);
  }
}

void SocketConnection::Ask() {
  if (session_owes_ != Owed::kAsk || entered_ > 0 || state_ == State::kClosed || broken_) return;
  session_owes_ = Owed::kAnswer;
  Enter([this] { session_->OnAsk(); });
}

void SocketConnection::Answer() {
  Ask();
  if (session_owes_ != Owed::kAnswer || entered_ > 0 || state_ == State::kClosed || broken_) return;
  session_owes_ = Owed::kNothing;
  Enter([this] { session_->OnAnswer(); });
}

// While paused the bytes keep.
bool SocketConnection::MayRead() const {
  return readable_ && state_ == State::kOpen && !paused_ && !eof_ && unsent() < kHighWater;
}

// What is left to read is read in the next turn: others have theirs first.
void SocketConnection::Continue() {
  if (state_ == State::kLingering ? readable_ : MayRead()) AskAgain();
}

void SocketConnection::AskAgain(bool little) {
  if (again_ || state_ == State::kClosed) return;
  again_ = true;
  loop_.Again(*this, little);
}

void SocketConnection::ReadOnce() {
  const auto scratch = loop_.scratch();
  const ssize_t got = recv(fd_.get(), scratch.data(), scratch.size(), 0);
  if (got < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) readable_ = false;
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) broken_ = true;
    return;
  }
  // Less than there was room for is all that there was (epoll(7)).
  if (static_cast<std::size_t>(got) < scratch.size()) readable_ = hung_up_;
  if (got == 0) {
    eof_ = true;
    return;
  }
  last_activity_ms_ = loop_.turn_ms();
  loop_.counters().bytes_in.Add(static_cast<std::uint64_t>(got));
  fresh_ = {scratch.data(), static_cast<std::size_t>(got)};
  loop_.KeepScratch(fresh_.size());
}

void SocketConnection::ReadNow() {
  const absl::Cleanup rewind = [this, kept = loop_.scratch_kept()] { loop_.RewindScratch(kept); };
  ReadOnce();
  Take();
}

void SocketConnection::ReceiveCipher(std::string_view cipher) {
  const bool was_established = tls_->established();
  // Taken out meanwhile: what the session calls may come here again.
  std::string plain;
  plain.swap(loop_.plain_scratch());
  plain.clear();
  const TlsStream::Progress progress = tls_->Receive(cipher, plain, wire_);
  if (!was_established && tls_->established() && loop_.options().idle_timeout_ms != 0) {
    loop_.wheel().Schedule(*this, last_activity_ms_ + loop_.options().idle_timeout_ms);
  }
  if (!plain.empty()) Deliver(plain);
  plain.swap(loop_.plain_scratch());
  if (progress == TlsStream::Progress::kClosedByPeer) eof_ = true;
  if (progress == TlsStream::Progress::kFailed) {
    // Only the alert in wire_ is still worth sending.
    cipher_broken_ = true;
    waiting_input_ = false;
    if (state_ == State::kOpen) state_ = State::kClosing;
  }
}

void SocketConnection::Deliver(std::string_view bytes) {
  if (input_.empty()) {
    const std::size_t consumed = Offer(bytes);
    if (consumed < bytes.size()) input_.assign(bytes.substr(consumed));
    NoteRest(consumed);
    return;
  }
  input_.append(bytes);
  OfferAgain();
}

void SocketConnection::OfferAgain() {
  const std::size_t consumed = Offer(input_);
  input_.erase(0, consumed);
  if (input_.empty() && input_.capacity() > kKeepInput) std::string().swap(input_);
  NoteRest(consumed);
}

void SocketConnection::NoteRest(std::size_t consumed) {
  if (input_.empty() || waiting_input_) {
    unfinished_since_ms_ = 0;
  } else if (consumed > 0 || unfinished_since_ms_ == 0) {
    unfinished_since_ms_ = last_activity_ms_;
  }
}

std::size_t SocketConnection::Offer(std::string_view view) {
  std::size_t total = 0;
  waiting_input_ = false;
  while (total < view.size()) {
    Answer();
    if (!MayDeliver()) {
      waiting_input_ = state_ == State::kOpen && !broken_;
      break;
    }
    std::size_t consumed = 0;
    const std::string_view rest = view.substr(total);
    session_owes_ = Owed::kAsk;
    Enter([&] { consumed = session_->OnInput(rest); });
    if (consumed == 0) {
      waiting_input_ = paused_ && state_ == State::kOpen && !broken_;
      break;
    }
    total += std::min(consumed, rest.size());
  }
  return total;
}

bool SocketConnection::MayDeliver() const {
  return state_ == State::kOpen && !broken_ && !paused_ && unsent() < kHighWater;
}

}  // namespace weir::net
