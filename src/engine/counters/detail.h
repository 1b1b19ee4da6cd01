// The text under which detailed metrics count a descriptor, as envoyproxy/ratelimit names them:
// "key_value.key2_value2". Entries that the document names by value, and those of which it wants the value in metrics,
// show it; share_threshold shows its pattern; others show their key only. What is not printable ASCII becomes '?': one
// bad label would spoil a whole scrape.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "config/snapshot/snapshot.h"
#include "weir/request.h"

namespace weir::engine {

using DetailBuffer = std::array<char, 256>;
// In `buffer`; what does not fit is cut off.
std::string_view DetailOf(const config::DescriptorPath& path, std::span<const Attribute> entries, DetailBuffer& buffer);

}  // namespace weir::engine
