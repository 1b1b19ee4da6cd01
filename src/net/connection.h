// A connected socket and its session. Internal to net.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/idle_wheel.h"
#include "net/loop.h"
#include "net/session.h"
#include "net/tls.h"

namespace weir::net {

// Owned by its loop's list until closed. Whoever else holds it (Share) holds an empty shell afterwards: the session,
// the socket and the buffers end on the loop's thread.
//
// Invariants:
//  1. The session is entered by one call at a time, and destroyed in none (entered_ guards both).
//  2. The socket is watched once, edge-triggered: what the kernel has told is kept in readable_ and writable_ until a
//     call has found the end of it. Who may read and does not do so now asks the loop for another turn.
//  3. What was appended is sent by Settle(), which ends every turn of the loop that concerned this connection. The
//     session has asked and answered by then.
class SocketConnection final : public Connection,
                               public std::enable_shared_from_this<SocketConnection>,
                               public IdleWheel::Node,
                               public Watcher {
 public:
  SocketConnection(Loop& loop, Descriptor fd, std::string peer);
  ~SocketConnection() override;

  // ---- the loop's side ---------------------------------------------------------------------------------------------
  bool Watch();
  void Start(const ListenerState& listener);
  // Reads; Take(), Ask(), Answer() and Settle() follow within this turn, each of all that were read together.
  void OnReady(std::uint32_t events) override;
  // The turn has been long enough: what is ready is looked at in the next.
  void Defer(std::uint32_t events) override;
  // Shows the session what was read.
  void Take();
  void Ask();
  void Answer();
  // Sends what was appended, and closes when that is due.
  void Settle();
  void StartDrain();
  // At once, whatever is unsent.
  void Close();
  // The last that a loop does with a connection, outside every call of it. Leaves an empty shell.
  void Abandon();
  // The wheel reached this connection's deadline.
  void OnDeadline(std::int64_t now_ms);
  // The time that the session asked for has come.
  void OnAlarm();
  // Position in the loop's list.
  std::size_t slot = 0;

  // ---- the session's side ------------------------------------------------------------------------------------------
  std::string& output() override { return output_; }
  void Flush() override;
  void Pause() override { paused_ = true; }
  void Resume() override;
  void Yield() override;
  bool TakeRoom(std::size_t bytes) override;
  void CloseAfterFlush() override;
  void WakeAfter(std::uint32_t ms) override;
  void Post(std::function<void()> task) override;
  std::shared_ptr<Connection> Share() override { return shared_from_this(); }
  std::string_view peer_address() const override { return peer_; }
  const x509_st* peer_certificate() const override { return tls_ == nullptr ? nullptr : tls_->peer_certificate(); }
  bool draining() const override { return draining_; }

 private:
  enum class State : std::uint8_t {
    kOpen,
    kClosing,    // sends what is left, delivers nothing
    kLingering,  // all sent, write side shut: discards input until the peer has seen it and closes
    kClosed,
  };

  void RunPosted(const std::function<void()>& task);
  // Reads once, into the loop's scratch.
  void ReadOnce();
  // The same, and shows it to the session at once.
  void ReadNow();
  void CloseIdle();
  void ClearAlarm();
  void ReceiveCipher(std::string_view cipher);
  void Deliver(std::string_view bytes);
  std::size_t Offer(std::string_view view);
  void OfferAgain();
  void NoteRest(std::size_t consumed);
  bool MayDeliver() const;
  // Calls the session, which must not destroy itself meanwhile; an exception closes the connection.
  template <typename Call>
  void Enter(Call&& call);
  bool SendSome();
  void Discard();
  void FinishClosing();
  // At the end of the time for which a lingering connection is waited for in a drain.
  void CloseSoon();
  void NoteReady(std::uint32_t events);
  bool MayRead() const;
  void Continue();
  // The loop is to call OnReady(0) in its next turn.
  void AskAgain(bool little = false);
  void BorrowOutput();
  // A connection that has nothing to send holds no buffer.
  void ReturnOutput(std::string& sent);
  void FreeBuffers();
  // Counts what the buffers hold now. False: all connections together hold too much, and this one more than before.
  bool CountBuffers();
  void UncountBuffers();
  void NoteUnsent();
  std::size_t unsent() const { return output_.size() + wire_.size() - sent_; }

  Loop& loop_;
  std::shared_ptr<Mailbox> mailbox_;
  Descriptor fd_;
  State state_ = State::kOpen;
  bool paused_ = false;
  bool draining_ = false;
  bool eof_ = false;            // the peer sends no more
  bool waiting_input_ = false;  // input_ holds what the session did not get to see yet
  bool readable_ = false;       // there may be something to read ...
  bool hung_up_ = false;        // ... and the end behind it
  bool writable_ = true;
  bool again_ = false;    // in the loop's list for the next turn
  bool yielded_ = false;  // paused until then
  enum class Owed : std::uint8_t { kNothing, kAnswer, kAsk };
  bool cipher_broken_ = false;          // nothing can be encrypted any more: only what is in wire_ goes out
  Owed session_owes_ = Owed::kNothing;  // what follows its last OnInput
  bool broken_ = false;                 // to be closed at once: the session threw, or the stream cannot be written
  std::uint8_t entered_ = 0;
  std::int64_t last_activity_ms_ = 0;
  std::int64_t unfinished_since_ms_ = 0;  // the session waits for the rest of what is in input_; 0: it does not
  std::int64_t wake_at_ms_ = 0;           // 0: nobody asked
  std::int64_t unsent_since_ms_ = 0;      // since when the peer owes to take owed_ bytes; 0: it does not
  std::size_t owed_ = 0;
  std::size_t counted_ = 0;  // bytes that the loop counts for this connection
  std::size_t sent_ = 0;     // of wire_ when TLS, else of output_
  std::string output_;
  std::string input_;       // received, not consumed
  std::string_view fresh_;  // read in this turn and not shown yet; in the loop's scratch
  std::string wire_;        // TLS: encrypted, not sent
  std::unique_ptr<TlsStream> tls_;
  std::unique_ptr<Session> session_;
  const std::string peer_;
};

}  // namespace weir::net
