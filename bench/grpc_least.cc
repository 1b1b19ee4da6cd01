// The least that a server of unary gRPC calls can do: it looks at frames only, and gives every call the same answer.
// What it takes is the kernel's, and no server with one thread that reads and writes sockets is below it.
//   weir_bench_grpc_least PORT ANSWER_BYTES
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <unordered_map>

#include "http2_frames.h"

namespace {

using namespace weir::bench;

constexpr std::size_t kMostAnswer = 16'384;

[[noreturn]] void Die(const char* why) {
  std::perror(why);
  std::exit(1);
}

// Headers that name nothing remembered (RFC 7541, 6.2.2), so that they are the same for every call: ":status: 200",
// "content-type: application/grpc"; then a message; then "grpc-status: 0".
struct Answer {
  explicit Answer(std::size_t size) {
    AppendFrame(kHeaders, kEndHeaders, 0, std::string("\x88\x0f\x10\x10", 4) + "application/grpc", bytes);
    data = bytes.size();
    std::string message(1, '\0');
    AppendNumber32(static_cast<std::uint32_t>(size - 5), message);
    AppendFrame(kData, 0, 0, message.append(size - 5, 'x'), bytes);
    trailers = bytes.size();
    AppendFrame(kHeaders, kEndHeaders | kEndStream, 0, std::string("\0\x0b", 2) + "grpc-status" + "\x01" + "0", bytes);
  }
  std::string bytes;
  std::size_t data = 0, trailers = 0;  // where these frames begin
};

struct Connection {
  bool introduced = false;
  std::string in;
};

// Takes the whole frames off `in`, and appends what there is to say to `out`.
void Serve(Connection& connection, const Answer& answer, std::string& out) {
  std::string& in = connection.in;
  std::size_t at = 0;
  if (!connection.introduced) {
    if (in.size() < kPreface.size()) return;
    connection.introduced = true;
    at = kPreface.size();
    AppendFrame(kSettings, 0, 0, "", out);
    std::string room;
    AppendNumber32(1U << 30U, room);
    AppendFrame(kWindow, 0, 0, room, out);
  }
  while (in.size() - at >= kFrameHead) {
    const char* const head = in.data() + at;
    const std::size_t size = BodySize(head);
    if (in.size() - at < kFrameHead + size) break;
    if (TypeOf(head) == kSettings && (FlagsOf(head) & kAck) == 0) AppendFrame(kSettings, kAck, 0, "", out);
    if (TypeOf(head) == kData && (FlagsOf(head) & kEndStream) != 0) {
      const std::size_t begin = out.size();
      out += answer.bytes;
      for (const std::size_t frame : {std::size_t{0}, answer.data, answer.trailers}) {
        out.replace(begin + frame + 5, 4, in, at + 5, 4);
      }
    }
    at += kFrameHead + size;
  }
  in.erase(0, at);
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t size = argc == 3 ? std::strtoul(argv[2], nullptr, 10) : 0;
  if (size < 6 || size > kMostAnswer) {
    std::fputs("usage: weir_bench_grpc_least PORT ANSWER_BYTES\n", stderr);
    return 2;
  }
  const Answer answer(size);
  const int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_port = htons(static_cast<std::uint16_t>(std::atoi(argv[1])));
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&here), sizeof(here)) != 0) Die("bind");
  if (listen(listener, SOMAXCONN) != 0) Die("listen");
  const int epoll = epoll_create1(0);
  const auto watch = [epoll](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) Die("epoll_ctl");
  };
  watch(listener);
  std::unordered_map<int, Connection> connections;
  std::array<char, 64 << 10> room;
  std::string out;
  for (;;) {
    std::array<epoll_event, 64> events;
    const int count = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == listener) {
        const int taken = accept(listener, nullptr, nullptr);
        if (taken < 0) Die("accept");
        setsockopt(taken, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        connections[taken] = {};
        watch(taken);
        continue;
      }
      const ssize_t got = recv(fd, room.data(), room.size(), 0);
      Connection& connection = connections[fd];
      out.clear();
      if (got > 0) {
        connection.in.append(room.data(), static_cast<std::size_t>(got));
        Serve(connection, answer, out);
      }
      // The load generator takes what it asked for, so that a send may block.
      bool open = got > 0;
      for (std::size_t sent = 0; open && sent < out.size();) {
        const ssize_t done = send(fd, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
        open = done > 0;
        if (open) sent += static_cast<std::size_t>(done);
      }
      if (open) continue;
      close(fd);
      connections.erase(fd);
    }
  }
}
