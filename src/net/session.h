// The seam between sockets and protocols. A protocol is a Session: bytes in, bytes out, no sockets, no threads; it can
// be tested and fuzzed with strings. A Connection is what it sees of its socket. Both live on one event loop's thread,
// and every call of either happens there, except Connection::Post.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

struct x509_st;

namespace weir::net {

class Connection {
 public:
  virtual ~Connection() = default;

  // Answers are appended here; all that was appended since OnInput goes out with one write after OnAnswer(). From
  // elsewhere (a completion that ran on the loop) call Flush().
  virtual std::string& output() = 0;
  virtual void Flush() = 0;

  // No more input is delivered until Resume(), which delivers at once what is waiting. Counted by nobody: not nested.
  virtual void Pause() = 0;
  virtual void Resume() = 0;

  // The session has done enough for one turn: what is left of its input is shown again in the next, after others have
  // had theirs. Pauses until then.
  virtual void Yield() {
    Pause();
    Post([this] { Resume(); });
  }
  // Counts `bytes` that the session is about to make (answers, and what they are made from) among what all connections
  // together may hold, before they exist: until the end of this turn, when what there is is counted instead. What is
  // needed for longer is held() by the session. False: there is no room, and the session must not make them.
  [[nodiscard]] virtual bool TakeRoom(std::size_t bytes) {
    (void)bytes;
    return true;
  }

  // Closes once everything in output() is sent; no more input is delivered.
  virtual void CloseAfterFlush() = 0;

  // Session::OnWake() follows once, `ms` from now or a few milliseconds later. The earliest of several stands.
  virtual void WakeAfter(std::uint32_t ms) = 0;

  // Runs `task` on this connection's loop, if the connection still lives then. The only member callable from any thread
  // (through a shared_ptr from Share()).
  virtual void Post(std::function<void()> task) = 0;
  virtual std::shared_ptr<Connection> Share() = 0;

  // "192.0.2.1"; empty for a Unix socket.
  virtual std::string_view peer_address() const = 0;
  // The certificate by which the client has shown who it is, once TLS has verified its chain; nullptr: none was asked
  // for or brought. Lives as long as the connection.
  virtual const x509_st* peer_certificate() const { return nullptr; }
  // The server is draining: answer what is in hand, then close (HTTP says Connection: close).
  virtual bool draining() const = 0;
};

// Flushes, pauses and closes its own connection only; others are reached by Post().
class Session {
 public:
  virtual ~Session() = default;

  // `input` is everything received and not yet consumed. Returns how many bytes were consumed; the rest is shown again,
  // with more behind it. A session bounds what it leaves unconsumed (the connection closes at its own bound too).
  // While it consumes, it is shown the rest at once; so a session whose answers are larger than its questions consumes
  // little at a time, and the connection can stop to wait for a slow reader in between.
  virtual std::size_t OnInput(std::string_view input) = 0;

  // What follows OnInput: OnAsk() asks what it client_limit, then OnAnswer() appends what is said to it. Both come
  // before the session is shown more, and before anything is sent. A session may do all in OnInput, but one that takes
  // many instructions gains by this: the loop does each for all that were shown input at a time (docs/decisions/0018),
  // so that sessions of one kind may gather in OnAsk() and ask together in the first OnAnswer(). Other calls, OnDrain()
  // and posted tasks among them, may come in between.
  virtual void OnAsk() {}
  virtual void OnAnswer() {}

  // The server starts to drain: sessions in the middle of nothing call CloseAfterFlush().
  virtual void OnDrain() = 0;

  // Nothing has come or gone for the idle timeout. True: the peer may rightly be silent; the session has appended a
  // question whose answer will be a sign of life, and is asked again when that does not come either. False: the
  // connection closes, after what was appended is sent.
  virtual bool OnIdle() { return false; }

  // The time that the session asked for with WakeAfter() has come.
  virtual void OnWake() {}

  // Bytes that the peer makes the session hold now: requests consumed and not answered, answers that are not in the
  // connection's output yet. They count among what all connections together may hold (ServerOptions). Asked at the end
  // of every turn that concerned the connection, so a session keeps a running total.
  virtual std::size_t held() const { return 0; }
};

// Makes the session of a new connection. Called on the connection's loop. `connection` outlives the session.
using SessionFactory = std::function<std::unique_ptr<Session>(Connection& connection)>;

}  // namespace weir::net
