#include "engine/identify/extraction_cache.h"

#include <memory>
#include <string>
#include <vector>

#include "base/hash.h"

namespace weir::engine {
namespace {

constexpr std::size_t kEntries = 512;
constexpr std::size_t kLongestInput = 2048;
constexpr std::size_t kLongestAnswer = 512;

struct Entry {
  std::uint64_t extractor = 0;
  std::string input;
  std::string text;
  Extracted answer;
  Nanos made = 0;
  Nanos until = INT64_MIN;
};

// Made at a thread's first use of it: most configurations need none.
thread_local std::unique_ptr<std::vector<Entry>> entries;

Entry& PlaceOf(const CacheKey& key) { return (*entries)[Hash64(key.input, key.extractor) % kEntries]; }

}  // namespace

const Extracted* Recall(const CacheKey& key, Nanos now) {
  if (entries == nullptr || key.input.size() > kLongestInput) return nullptr;
  const Entry& entry = PlaceOf(key);
  const bool fresh = entry.made <= now && now < entry.until;
  return fresh && entry.extractor == key.extractor && entry.input == key.input ? &entry.answer : nullptr;
}

void Remember(const CacheKey& key, const Extracted& answer, Nanos now, Nanos until) {
  if (key.input.size() > kLongestInput || answer.text.size() > kLongestAnswer) return;
  if (entries == nullptr) entries = std::make_unique<std::vector<Entry>>(kEntries);
  Entry& entry = PlaceOf(key);
  entry.extractor = key.extractor;
  entry.input = key.input;
  entry.text = answer.text;
  entry.answer = {.kind = answer.kind, .text = entry.text};
  entry.made = now;
  entry.until = until;
}

}  // namespace weir::engine
