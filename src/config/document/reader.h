// Collects the faults of one document while its tree is read, each with its path and line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/document/node.h"
#include "weir/config.h"

namespace weir::config {

// More faults than this are counted, not kept: a hostile document cannot make the report grow without bound.
inline constexpr std::size_t kMaxFaults = 1000;

// Stands in the path of a fault for a key of a map that is a secret.
inline constexpr std::string_view kSecretSegment = "(key)";

struct TextPlace {
  std::uint32_t line = 0;  // 1-based; 0 = unknown
  std::uint32_t column = 0;
};
// Where a fault of this value is told.
TextPlace PlaceOf(const Node& node);
inline std::uint32_t LineOf(const Node& node) { return PlaceOf(node).line; }

class Reader {
 public:
  explicit Reader(std::vector<Fault>& faults) : faults_(faults) {}
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // While it lives, faults are below this segment of the path.
  class Scope {
   public:
    Scope(Reader& reader, std::string_view segment);
    ~Scope() { reader_.path_.resize(length_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Reader& reader_;
    std::size_t length_;
  };

  // Told at the line of the value; of its key, when the value is a block of its own or missing.
  void Error(const Node& at, std::string message, std::string hint = {}) {
    Add(PlaceOf(at), std::move(message), std::move(hint));
  }
  // Nothing more is kept: a hint need not be looked for.
  bool full() const { return faults_.size() > kMaxFaults; }
  std::size_t fault_count() const { return faults_.size(); }
  bool at_root() const { return path_.empty(); }
  // About the key of a map's child, and told at the map's path.
  void ErrorAtKey(const Node& child, std::string message, std::string hint = {}) {
    Add({child.key_line, child.key_column}, std::move(message), std::move(hint));
  }

 private:
  void Add(TextPlace place, std::string message, std::string hint);

  std::vector<Fault>& faults_;
  std::string path_;
};

// 'text', shortened, with control characters made visible and without the user and password of an address, wherever it
// was written: for messages.
std::string Quoted(std::string_view text);

// What was found, for messages: "'abc'", "a list", "a mapping", "nothing".
std::string Found(const Node& node);
// The same of what must not be repeated: "text", "a number", "a list".
std::string KindOf(const Node& node);

// The candidate nearest to `word` if one is near enough to be what was meant, else empty. Case and '-' / '_' count
// little.
std::string_view Nearest(std::string_view word, const std::vector<std::string_view>& candidates);
// "did you mean 'x'?", or empty.
std::string DidYouMean(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace weir::config
