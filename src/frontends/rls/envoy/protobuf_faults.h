// Turns protozero's exceptions into messages for the client. Internal to the readers of rls.
#pragma once

#include <protozero/exception.hpp>
#include <string_view>

#include "base/utf8.h"

namespace weir::rls {

// Thrown and caught within a reader, as protozero's exceptions are.
struct Refused {
  const char* why;
};

inline std::string_view WhyOf(const protozero::exception& fault) {
  if (dynamic_cast<const protozero::end_of_buffer_exception*>(&fault) != nullptr) return "the message ends within it";
  if (dynamic_cast<const protozero::varint_too_long_exception*>(&fault) != nullptr) return "a number of over 10 bytes";
  if (dynamic_cast<const protozero::invalid_tag_exception*>(&fault) != nullptr) return "an impossible field number";
  if (dynamic_cast<const protozero::unknown_pbf_wire_type_exception*>(&fault) != nullptr) {
    return "a field of no known type";
  }
  return "not protobuf";
}

// A string field.
inline std::string_view Utf8Of(const auto& view) {
  const std::string_view text(view.data(), view.size());
  if (FindInvalidUtf8(text) != std::string_view::npos) throw Refused{"not UTF-8"};
  return text;
}

}  // namespace weir::rls
