// Load for servers of unary gRPC calls: connections that each keep some calls open, and ask again as soon as they are
// answered. It prints what came of it as JSON.
//   weir_bench_grpc_load PORT PATH QUESTION_FILE CONNECTIONS STREAMS SECONDS
//
// The question is framed once, its headers are those of gRPC clients, which name them by index from the second call on
// (RFC 7541, 2.3.2), and of the answers only the frames are looked at. So on a core of its own it asks more than the
// servers here answer on one; h2load does not when each call has a connection of its own, and then the server is
// measured half idle.
//
// It never sleeps: the kernel would charge the server with waking it up, which between virtual cores takes several
// times as long as an answer, and which over a network is no work of the server's.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http2_frames.h"

namespace {

using Clock = std::chrono::steady_clock;

using namespace weir::bench;

constexpr std::size_t kSlots = 4096;  // a power of two, far above the calls that a connection has open
constexpr std::uint32_t kPlenty = 1U << 30U;

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "weir_bench_grpc_load: %s\n", why.c_str());
  std::exit(1);
}

// A header for HPACK, not compressed: `lead` tells of its name and whether to remember it.
void AppendText(std::string_view text, std::string& out) {
  if (text.size() > 126) Die("a header is longer than 126 bytes");
  out += static_cast<char>(text.size());
  out += text;
}

struct Load {
  std::string first_headers, headers, question;
  std::size_t streams = 0;
  std::uint64_t bytes = 0;
  std::vector<std::uint32_t> nanoseconds;  // of each answered call
};

class Connection {
 public:
  Connection(Load& load, std::uint16_t port) : load_(load), calls_(kSlots) {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) Die("cannot connect");
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    out_ = kPreface;
    AppendFrame(kSettings, 0, 0, "", out_);
    std::string room;
    AppendNumber32(kPlenty, room);
    AppendFrame(kWindow, 0, 0, room, out_);
    for (std::size_t i = 0; i < load.streams; ++i) Ask();
    Send();
  }
  int fd() const { return fd_; }

  void OnReadable() {
    const ssize_t got = recv(fd_, in_.data() + held_, in_.size() - held_, 0);
    if (got <= 0) Die("the server closed a connection");
    now_ = Clock::now();
    held_ += static_cast<std::size_t>(got);
    std::size_t at = 0;
    while (held_ - at >= kFrameHead) {
      const std::size_t size = BodySize(in_.data() + at);
      if (kFrameHead + size > in_.size()) Die("a frame is too large");
      if (held_ - at < kFrameHead + size) break;
      OnFrame(in_.data() + at, size);
      at += kFrameHead + size;
    }
    std::copy(in_.data() + at, in_.data() + held_, in_.data());
    held_ -= at;
    while (waiting_ > 0 && window_ >= static_cast<std::int64_t>(load_.question.size())) {
      --waiting_;
      Ask();
    }
    Send();
  }

 private:
  struct Call {
    std::uint32_t stream = 0, bytes = 0;
    Clock::time_point start;
  };
  Call& CallOf(std::uint32_t stream) { return calls_[(stream / 2) % kSlots]; }

  void Ask() {
    if (window_ < static_cast<std::int64_t>(load_.question.size())) {
      ++waiting_;
      return;
    }
    Call& call = CallOf(next_);
    if (call.stream != 0) Die("a call is not answered while thousands after it are");
    call = {.stream = next_, .start = now_};
    AppendFrame(kHeaders, kEndHeaders, next_, next_ == 1 ? load_.first_headers : load_.headers, out_);
    AppendFrame(kData, kEndStream, next_, load_.question, out_);
    window_ -= static_cast<std::int64_t>(load_.question.size());
    next_ += 2;
  }

  void OnFrame(const char* frame, std::size_t size) {
    const std::uint8_t type = TypeOf(frame), flags = FlagsOf(frame);
    const std::uint32_t stream = StreamOf(frame);
    const char* const body = frame + kFrameHead;
    switch (type) {
      case kData:
        CallOf(stream).bytes += static_cast<std::uint32_t>(size);
        [[fallthrough]];
      case kHeaders:
        if ((flags & kEndStream) != 0) OnAnswer(stream);
        break;
      case kReset:
        return Die("the server reset a call");
      case kGoAway:
        return Die("the server ends the connection");
      case kSettings:
        if ((flags & kAck) == 0) AppendFrame(kSettings, kAck, 0, "", out_);
        break;
      case kPing:
        if ((flags & kAck) == 0) AppendFrame(kPing, kAck, 0, {body, size}, out_);
        break;
      case kWindow:
        if (stream == 0) window_ += Number32(body);
        break;
      default:
        break;
    }
  }

  void OnAnswer(std::uint32_t stream) {
    Call& call = CallOf(stream);
    // A refusal has no message, which has 5 bytes before it.
    if (call.stream != stream || call.bytes < 6) Die("a call was not answered with a message");
    load_.bytes += call.bytes;
    load_.nanoseconds.push_back(static_cast<std::uint32_t>((now_ - call.start).count()));
    call.stream = 0;
    Ask();
  }

  void Send() {
    for (std::size_t sent = 0; sent < out_.size();) {
      // It blocks when the server does not read, which then is what is measured.
      const ssize_t taken = send(fd_, out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL);
      if (taken <= 0) Die("the server closed a connection");
      sent += static_cast<std::size_t>(taken);
    }
    out_.clear();
  }

  Load& load_;
  int fd_ = -1;
  std::uint32_t next_ = 1;
  std::int64_t window_ = 65'535;  // what the server takes until it says more (RFC 9113, 6.9.2)
  std::size_t waiting_ = 0;       // calls that wait for that
  Clock::time_point now_ = Clock::now();
  std::vector<Call> calls_;
  std::array<char, 64 << 10> in_;
  std::size_t held_ = 0;
  std::string out_;
};

double ShareOf(const std::vector<std::uint32_t>& sorted, double share) {
  return sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(static_cast<double>(sorted.size()) * share))] /
         1e3;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) Die("usage: weir_bench_grpc_load PORT PATH QUESTION_FILE CONNECTIONS STREAMS SECONDS");
  const auto port = static_cast<std::uint16_t>(std::atoi(argv[1]));
  const int connections = std::atoi(argv[4]), streams = std::atoi(argv[5]);
  const double seconds = std::atof(argv[6]);
  if (connections < 1 || streams < 1 || streams > 1'000 || !(seconds > 0)) Die("a number is out of range");
  std::ifstream file(argv[3], std::ios::binary);
  Load load;
  load.question.assign(std::istreambuf_iterator<char>(file), {});
  if (load.question.empty()) Die("the question is empty");
  load.streams = static_cast<std::size_t>(streams);
  load.nanoseconds.reserve(8 << 20);
  // :method POST, :scheme http; then four that are remembered, the last as number 62.
  load.first_headers = "\x83\x86\x44";
  AppendText(argv[2], load.first_headers);
  load.first_headers += '\x41';
  AppendText("127.0.0.1:" + std::string(argv[1]), load.first_headers);
  load.first_headers += '\x5f';
  AppendText("application/grpc", load.first_headers);
  load.first_headers += '\x40';
  AppendText("te", load.first_headers);
  AppendText("trailers", load.first_headers);
  load.headers = "\x83\x86\xc1\xc0\xbf\xbe";

  const int epoll = epoll_create1(0);
  std::vector<std::unique_ptr<Connection>> opened;
  for (int i = 0; i < connections; ++i) {
    opened.push_back(std::make_unique<Connection>(load, port));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = opened.back().get();
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, opened.back()->fd(), &event) != 0) Die("epoll_ctl");
  }
  const auto start = Clock::now();
  const auto end = start + std::chrono::duration<double>(seconds);
  auto heard = start;
  for (auto now = start; now < end; now = Clock::now()) {
    std::array<epoll_event, 64> events;
    const int count = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), 0);
    if (count > 0) heard = now;
    if (now - heard > std::chrono::seconds(1)) Die("no answer within a second");
    for (int i = 0; i < count; ++i)
      static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr)->OnReadable();
  }
  const double took = std::chrono::duration<double>(Clock::now() - start).count();
  auto& times = load.nanoseconds;
  if (times.empty()) Die("nothing was answered");
  std::ranges::sort(times);
  std::printf(R"({"done": %zu, "bytes": %llu, "seconds": %.3f, "p50_us": %.1f, "p99_us": %.1f, "p999_us": %.1f})"
              "\n",
              times.size(), static_cast<unsigned long long>(load.bytes), took, ShareOf(times, 0.50),
              ShareOf(times, 0.99), ShareOf(times, 0.999));
}
