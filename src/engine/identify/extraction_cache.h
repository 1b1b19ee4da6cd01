// What extractors answered lately on this thread, for those that cost more than a look-up here.
//
// Bounded: 512 answers a thread, inputs up to 2 KiB and answers up to 512 bytes; what is longer is not kept. Inputs are
// compared whole: a client cannot take over another's answer by a hash that it made collide.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"

namespace weir::engine {

struct Extracted {
  // kFailed: a script could not say. kAmbiguous: servers disagree about what the request says, in too many ways.
  enum class Kind : std::uint8_t { kSubject, kNone, kFailed, kAmbiguous };
  Kind kind = Kind::kNone;
  std::string_view text;
  std::optional<std::string_view> other = std::nullopt;  // kSubject: counted too; not remembered here
};

struct CacheKey {
  std::uint64_t extractor = 0;  // unique in the process
  std::string_view input;
};

// Each works on the calling thread's cache. An answer is good from the time it was made until `until`, exclusive; a
// clock that went back before its making makes it stale. nullptr: not known. The answer lives until the thread's next
// Remember.
const Extracted* Recall(const CacheKey& key, Nanos now);
void Remember(const CacheKey& key, const Extracted& answer, Nanos now, Nanos until);

}  // namespace weir::engine
