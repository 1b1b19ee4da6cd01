// The part of CEL (https://cel.dev) in which limitador's conditions and variables can be a tree of descriptors:
//
//   reference   descriptors[0]['KEY']   descriptors[0]["KEY"]   descriptors[0].KEY   KEY (as older versions had it)
//   own         limit.name   limit.id   (of the limit itself)
//   test        reference == 'VALUE'   reference != 'VALUE'   'VALUE' == reference   reference.startsWith('PREFIX')
//               has(descriptors[0].KEY)   'KEY' in descriptors[0]   and the first four of an own
//   condition   test && test && ...    parentheses are allowed around any of these
//   variable    reference
// Texts have CEL's escapes. What is anything else is refused, with what to write instead.
//
// Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "weir/result.h"

namespace weir::config {

struct EntryTest {
  // kDiffers: present, and another value.
  enum class Kind : std::uint8_t { kEquals, kDiffers, kStartsWith, kPresent };
  Kind kind = Kind::kEquals;
  std::string key = {};
  std::string value = {};  // kStartsWith: the prefix
  bool own = false;        // of the limit itself: the key is "limit.name" or "limit.id"
  friend bool operator==(const EntryTest&, const EntryTest&) = default;
};

// In the order in which they are written. The error's message is for the user.
Result<std::vector<EntryTest>> ParseCondition(std::string_view text);
// The key that it names.
Result<std::string> ParseVariable(std::string_view text);

}  // namespace weir::config
