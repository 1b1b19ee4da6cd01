// A field of a message, as a case of a switch over protozero's tag_and_type(). Internal to the readers of rls.
#pragma once

#include <cstdint>
#include <protozero/types.hpp>

namespace weir::rls {

inline constexpr auto kVarint = protozero::pbf_wire_type::varint;
inline constexpr auto kBytes = protozero::pbf_wire_type::length_delimited;

constexpr std::uint32_t Field(protozero::pbf_tag_type number, protozero::pbf_wire_type type) {
  return protozero::tag_and_type(number, type);
}

}  // namespace weir::rls
