// A field of a message, as a case of a switch over protozero's tag_and_type(). Internal to the readers of rls.
#pragma once

#include <cstdint>
#include <protozero/pbf_reader.hpp>
#include <protozero/types.hpp>

namespace weir::rls {

inline constexpr auto kVarint = protozero::pbf_wire_type::varint;
inline constexpr auto kBytes = protozero::pbf_wire_type::length_delimited;

constexpr std::uint32_t Field(protozero::pbf_tag_type number, protozero::pbf_wire_type type) {
  return protozero::tag_and_type(number, type);
}

// google.protobuf.Duration, as it is on the wire.
struct ProtobufDuration {
  std::int64_t seconds = 0;
  std::int32_t nanos = 0;
};
// `before`: what the field said before, when it is there twice.
inline ProtobufDuration ReadDuration(protozero::pbf_reader reader, ProtobufDuration before = {}) {
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Field(1, kVarint):
        before.seconds = static_cast<std::int64_t>(reader.get_uint64());
        break;
      case Field(2, kVarint):
        before.nanos = static_cast<std::int32_t>(reader.get_uint64());
        break;
      default:
        reader.skip();
    }
  }
  return before;
}

}  // namespace weir::rls
