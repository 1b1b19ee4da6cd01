// A gRPC connection from its first byte: frames, HPACK, message framing, health and reflection. Nothing may break, what
// is written must be flushed, every handler must end, and what a client can make the session write is bounded.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/manual_clock.h"
#include "frontends/rls/health/health.h"
#include "frontends/rls/http2/counters.h"
#include "frontends/rls/http2/session.h"
#include "frontends/rls/reflection/reflection.h"
#include "net/fake_connection.h"

namespace {

using namespace weir::rls;

int handlers = 0;

// Unary calls are answered at once or later, streams echo.
class Echo final : public Service {
 public:
  explicit Echo(bool hold) : hold_(hold) {
    methods_ = {{"/e.E/U", 0, {}}, {"/e.E/S", 1, [](Stream& stream) { return std::make_unique<Handler>(stream); }}};
  }
  std::string_view name() const override { return "e.E"; }
  const std::vector<Method>& methods() const override { return methods_; }
  bool Answer(std::span<UnaryCall> calls, weir::storage::Completion* done) override {
    for (UnaryCall& call : calls) {
      if (call.request.starts_with("f")) call.status = {Code::kNotFound, std::string(call.request)};
      call.response = call.request;
    }
    if (hold_) held_.push_back(done);
    return !hold_;
  }
  void Release() {
    for (auto* done : std::exchange(held_, {})) done->Done();
  }

 private:
  struct Handler final : StreamHandler {
    explicit Handler(Stream& its_stream) : stream(its_stream) { ++handlers; }
    ~Handler() override { --handlers; }
    void OnMessage(std::string_view message) override {
      if (closed) std::abort();
      if (message == "q") return stream.Finish({Code::kCancelled, "q"});
      stream.Send(std::string(message));
    }
    void OnHalfClose() override {
      if (closed) std::abort();
      stream.Finish({});
    }
    void OnClose() override {
      if (std::exchange(closed, true)) std::abort();
    }
    Stream& stream;
    bool closed = false;
  };

  const bool hold_;
  std::vector<Method> methods_;
  std::vector<weir::storage::Completion*> held_;
};

// Two connections whose input is read together; what happens between their phases, the bits of `between` say.
void ReadTogether(std::string_view input, std::uint8_t between, Echo& echo, const GrpcOptions& options) {
  weir::net::FakeConnection one, two;
  auto session = MakeGrpcSession(one, options), other = MakeGrpcSession(two, options);
  one.Attach(session.get());
  two.Attach(other.get());
  one.ReadTogether();
  two.ReadTogether();
  const auto end = [](weir::net::FakeConnection& connection, std::unique_ptr<weir::net::Session>& its_session) {
    connection.Attach(nullptr);
    its_session.reset();
  };
  one.Receive(input);
  two.Receive(input);
  one.Ask();
  if ((between & 1U) != 0) one.StartDrain();
  if ((between & 2U) != 0) one.Idle();
  two.Ask();
  if ((between & 4U) != 0) two.StartDrain();
  if ((between & 8U) != 0) end(one, session);
  if ((between & 16U) != 0) two.Answer();
  if ((between & 32U) != 0) echo.Release();
  if ((between & 64U) != 0) one.RunPosted();
  one.Answer();
  if ((between & 128U) != 0) end(two, other);
  two.Answer();
  // Input that one turn did not take.
  for (int i = 0; i < 4; ++i) {
    one.Ask();
    two.Ask();
    one.Answer();
    two.Answer();
  }
  echo.Release();
  while (one.RunPosted() + two.RunPosted() > 0) {
  }
  if (one.unflushed() || two.unflushed()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool quiet = [] {
    weir::log::Configure(weir::log::Level::kError, weir::log::Format::kText);
    return true;
  }();
  weir::ManualClock clock;
  static HealthService health({"e.E"}, [] { return true; });
  static const auto reflection = [] {
    const Service* const known = &health;
    return MakeReflectionServices({&known, 1});
  }();
  if (!quiet || size < 2) return 0;
  const std::uint8_t choice = data[0];
  std::string input(reinterpret_cast<const char*>(data) + 2, size - 2);
  // Most of the time spares the fuzzer to find the preface.
  if ((choice & 1U) == 0) input.insert(0, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

  Echo echo((choice & 2U) != 0);
  GrpcOptions options;
  options.services = {&echo, &health, reflection[0].get(), reflection[1].get()};
  options.clock = &clock;
  options.max_message_bytes = 10'000;
  options.max_queued_bytes = 100'000;
  // Low enough that a short input gets beyond them.
  options.max_header_bytes = 1'000;
  options.max_resets = 2;
  options.message_timeout_ms = 90;
  CallCounters counters(options.services);
  options.counters = &counters;
  if ((choice & 128U) != 0) {
    ReadTogether(input, data[1], echo, options);
    // What was gathered and not asked is nobody's.
    echo.Release();
  } else {
    weir::net::FakeConnection connection;
    auto session = MakeGrpcSession(connection, options);
    connection.Attach(session.get());
    const std::size_t cut = std::min<std::size_t>(data[1] * input.size() / 255, input.size());
    connection.Receive(std::string_view(input).substr(0, cut));
    if ((choice & 4U) != 0) echo.Release();
    connection.RunPosted();
    if ((choice & 8U) != 0) connection.StartDrain();
    if ((choice & 16U) != 0) connection.Idle();
    if ((choice & 64U) != 0) {
      clock.Advance(1'100 * weir::kMillisecond);  // also what a drain waits for
      connection.Wake();
    }
    connection.Receive(std::string_view(input).substr(cut));
    if (connection.unflushed()) std::abort();
    // A file's description is the most that a few bytes can ask for.
    if (connection.TakeOutput().size() > (1U << 20U) + size * 2'000) std::abort();
    // Or the connection goes first.
    if ((choice & 32U) != 0) session.reset();
    echo.Release();
    while (connection.RunPosted() > 0) {
    }
    session.reset();
  }
  if (handlers != 0) std::abort();
  return 0;
}
