// A session, and the frames that a hostile client writes by hand.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "frontends/rls/http2/session_fixture.h"

namespace weir::rls {

class Abused : public SessionTest {
 protected:
  // A connection that was greeted, for frames by hand.
  void Greet() {
    Connect();
    Exchange();
  }
  // The answer to bytes by hand. nghttp2's client would find fault with streams that it did not open.
  void Say(std::string_view bytes) {
    connection->Receive(bytes);
    told += connection->TakeOutput();
  }
  // The error of the GOAWAY among the frames that came back; -1 without one.
  int GoAwayError() const {
    for (std::string_view rest = told; rest.size() >= 9;) {
      const auto byte = [&](std::size_t i) { return std::size_t{static_cast<unsigned char>(rest[i])}; };
      const std::size_t size = byte(0) << 16U | byte(1) << 8U | byte(2);
      if (byte(3) == NGHTTP2_GOAWAY) return static_cast<int>(byte(16));
      rest.remove_prefix(std::min(rest.size(), 9 + size));
    }
    return -1;
  }
  // Says `frame` until the connection closes; how often it could.
  int Until(const std::string& frame, int most) {
    for (int i = 0; i < most; ++i) {
      if (connection->closing()) return i;
      Say(frame);
    }
    return most;
  }
  // A header block of a call, without using HPACK's table.
  static std::string Block(const Headers& headers) {
    std::string block;
    for (const auto& [name, value] : headers) {
      block += '\0';
      block += static_cast<char>(name.size());
      block += name;
      block += static_cast<char>(value.size());
      block += value;
    }
    return block;
  }
  static std::string Open(std::int32_t stream, std::uint8_t flags = NGHTTP2_FLAG_END_HEADERS) {
    return Frame(NGHTTP2_HEADERS, flags, stream, Block(Client::GrpcHeaders()));
  }
  static std::string Reset(std::int32_t stream) {
    return Frame(NGHTTP2_RST_STREAM, 0, stream, std::string("\0\0\0\x08", 4));
  }
  static constexpr int kCalm = NGHTTP2_ENHANCE_YOUR_CALM;

  std::string told;
};

}  // namespace weir::rls
