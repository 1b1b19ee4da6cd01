#include "storage/redis/connection.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "io/deadline.h"
#include "io/stream_client.h"

namespace weir::storage::redis {
namespace {

class PipelinedConnection final : public Connection, public io::StreamClient {
 public:
  PipelinedConnection(boost::asio::io_context& io, const ConnectionOptions& options, io::TlsClient* tls,
                      ConnectionOwner& owner)
      : io::StreamClient(io,
                         {.endpoint = EndpointOf(options.url),
                          .connect_timeout = options.connect_timeout,
                          .backoff_min = options.backoff_min,
                          .backoff_max = options.backoff_max,
                          .jitter = options.jitter},
                         tls),
        options_(options),
        owner_(owner),
        deadline_(io) {}

  void Start() override { StartStream(); }

  void Stop() override {
    StopStream();
    deadline_.Cancel();
    FailWaiting();
  }

  void Drop(std::string_view why) override { DropStream(why); }
  void Proven() override { ResetBackoff(); }
  bool ready() const override { return is_ready(); }
  std::size_t waiting() const override { return waiting_.size(); }

  void Send(std::string_view bytes, std::span<std::unique_ptr<Exchange>> exchanges, Nanos deadline) override {
    stream_output() += bytes;
    for (std::unique_ptr<Exchange>& exchange : exchanges) waiting_.push_back({std::move(exchange), deadline});
    ArmDeadline(deadline);
  }

  void Flush() override { FlushStream(); }

 private:
  struct Waiting {
    std::unique_ptr<Exchange> exchange;  // nullptr: timed out, its reply is dropped
    Nanos deadline;
  };
  class Greeting;

  void OnOpen() override {
    reader_.emplace(options_.max_reply_bytes);
    Greet();
  }

  Result<> OnBytes(std::string_view bytes) override {
    if (auto fed = reader_->Feed(bytes); !fed) return fed;
    while (!is_dropped()) {
      auto next = reader_->Next();
      if (!next) return std::unexpected(next.error());
      if (!*next) break;
      if (waiting_.empty()) return Fail(ErrorCode::kDataLoss, "a reply that nobody asked for");
      Waiting waiting = std::move(waiting_.front());
      waiting_.pop_front();
      if (waiting.exchange) waiting.exchange->OnReply(*this, std::move(**next));
    }
    return {};
  }

  void OnClosed(bool was_ready, std::string_view why) override {
    // The owner first: an exchange that fails must find the store as it is now, not serving still.
    owner_.OnLost(*this, was_ready, why);
    FailWaiting();
  }

  void Greet();

  void GreetingDone() {
    SetReady();
    owner_.OnReady(*this);
  }

  void ArmDeadline(Nanos at) {
    deadline_.Arm(at, std::static_pointer_cast<PipelinedConnection>(shared_from_this()),
                  &PipelinedConnection::ExpireDue);
  }

  void ExpireDue() {
    const Nanos now = io::SteadyNow();
    Nanos next = io::kNever;
    std::vector<std::unique_ptr<Exchange>> due;
    bool stalled = false;
    for (Waiting& waiting : waiting_) {
      if (waiting.exchange && waiting.deadline <= now) due.push_back(std::move(waiting.exchange));
      const Nanos event = waiting.exchange ? waiting.deadline : waiting.deadline + options_.stall;
      if (event <= now) {
        stalled = true;
      } else {
        next = std::min(next, event);
      }
    }
    if (next != io::kNever) ArmDeadline(next);
    for (const std::unique_ptr<Exchange>& exchange : due) exchange->OnFailure(Failure::kTimeout);
    if (stalled) Drop("a reply is long overdue");
  }

  void FailWaiting() {
    std::deque<Waiting> lost;
    lost.swap(waiting_);
    for (const Waiting& waiting : lost) {
      if (waiting.exchange) waiting.exchange->OnFailure(Failure::kLost);
    }
  }

  const ConnectionOptions options_;
  ConnectionOwner& owner_;
  io::Deadline deadline_;  // the soonest of waiting_
  std::optional<ReplyReader> reader_;
  std::deque<Waiting> waiting_;
};

// AUTH, SELECT and PING, written at once; ready when PING is answered: it tells a server that wants a password, or
// still loads its data, from one that serves.
class PipelinedConnection::Greeting final : public Exchange {
 public:
  Greeting(std::string_view what, bool last) : what_(what), last_(last) {}

  void OnReply(Connection& connection, Reply reply) override {
    if (reply.IsError()) return connection.Drop(std::string(what_) + ": " + reply.text);
    if (last_) static_cast<PipelinedConnection&>(connection).GreetingDone();
  }
  void OnFailure(Failure) override {}  // the connect timer and the loss itself say all

 private:
  const std::string_view what_;
  const bool last_;
};

void PipelinedConnection::Greet() {
  std::string bytes;
  std::vector<std::unique_ptr<Exchange>> greetings;
  const Url& url = options_.url;
  if (!url.password.empty()) {
    Command auth{"AUTH"};
    if (!url.user.empty()) auth.Add(url.user);
    auth.Add(url.password).AppendTo(bytes);
    greetings.push_back(std::make_unique<Greeting>("AUTH", false));
  }
  if (url.database != 0) {
    Command{"SELECT", std::to_string(url.database)}.AppendTo(bytes);
    greetings.push_back(std::make_unique<Greeting>("SELECT", false));
  }
  Command{"PING"}.AppendTo(bytes);
  greetings.push_back(std::make_unique<Greeting>("PING", true));
  Send(bytes, greetings, io::SteadyNow() + options_.connect_timeout);
  Flush();
}

}  // namespace

Result<io::TlsClientPtr> MakeTls(const Url& url) {
  auto tls = io::MakeTlsClient({.ca_file = url.ca_file,
                                .certificate_file = url.certificate_file,
                                .key_file = url.key_file,
                                .verify_peer = url.verify == Verify::kPeer});
  if (!tls) return Fail(tls.error().code, "redis TLS: " + tls.error().message);
  return tls;
}

std::shared_ptr<Connection> MakeConnection(boost::asio::io_context& io, const ConnectionOptions& options,
                                           io::TlsClient* tls, ConnectionOwner& owner) {
  return std::make_shared<PipelinedConnection>(io, options, tls, owner);
}

}  // namespace weir::storage::redis
