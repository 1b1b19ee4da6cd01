// Where a character of a text stands in the document that the text was read from.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "config/document/node.h"
#include "config/document/reader.h"

namespace weir::config {

// Of the byte at `offset` of `scalar.text`. `source`: the document, in YAML or JSON. Follows quotes and their escapes,
// folded lines and block scalars. nullopt: the scalar has no place there.
std::optional<TextPlace> PlaceInScalar(std::string_view source, const Node& scalar, std::size_t offset);

}  // namespace weir::config
