// How an API key is known: by the first half of its SHA-256, in hex. So nothing that is compiled, counted, logged or
// shown holds the key, a document need not hold it either, and both ways to write it are one entity. Half is enough: to
// find another key of the same digest takes 2^128 tries, and 2^108 for any one of a million.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace weir::config {

using KeyDigest = std::array<char, 32>;

// Of a key as a request brings it. Allocates nothing.
KeyDigest DigestOfKey(std::string_view key);
// Of how a key is written in a document: itself, or "sha256:" and the 64 hex digits of its SHA-256 or the first 32 of
// them. nullopt: it begins with "sha256:" and does not go on like this, or is empty.
std::optional<std::string> DigestOfKeyName(std::string_view name);
// The way to write the key of a digest.
std::string KeyNameOfDigest(std::string_view digest);

}  // namespace weir::config
