// Lua 5.4's patterns (https://www.lua.org/manual/5.4/manual.html#6.4.1), matched with a count of the work done: Lua's
// own matcher backtracks without one, so that a short pattern on a long header can run for seconds.
//
// A match means what it means to Lua; a test holds both beside each other. Pure; thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir::engine {

inline constexpr std::size_t kMostCaptures = 32;

struct PatternCapture {
  std::size_t start = 0;  // in the text
  std::size_t length = 0;
  bool is_position = false;  // `()`: the place alone
};

class PatternMatcher {
 public:
  // `pattern` without the '^' that anchors it (a '^' in front is a character like any other). `steps`: how many more
  // may be taken; counted down. Both texts must outlive it.
  PatternMatcher(std::string_view text, std::string_view pattern, std::uint64_t& steps)
      : text_(text), pattern_(pattern), steps_(steps) {}

  enum class End : std::uint8_t {
    kMatch,
    kNone,
    kBroken,   // the pattern cannot be read; broken() says why
    kTooMuch,  // no steps are left
  };
  // Matches what begins at `start`, at most the length of the text.
  End MatchAt(std::size_t start);

  // After kMatch.
  std::size_t end() const { return end_; }
  std::size_t captures() const { return level_; }
  // `index` < captures().
  PatternCapture capture(std::size_t index) const;
  // After kBroken, in Lua's words.
  const char* broken() const { return broken_; }

 private:
  static constexpr std::size_t kNoMatch = SIZE_MAX;
  static constexpr std::size_t kOpen = SIZE_MAX;          // lengths of captures that are not closed,
  static constexpr std::size_t kPosition = SIZE_MAX - 1;  // and of places
  static constexpr int kDeepest = 200;                    // what Lua allows itself
  struct Capture {
    std::size_t start = 0, length = 0;
  };

  std::size_t Match(std::size_t at, std::size_t p, int depth);
  std::size_t ItemEnd(std::size_t p);
  bool SingleMatches(std::size_t at, std::size_t p, std::size_t item_end);
  bool InSet(unsigned char c, std::size_t p, std::size_t last);
  std::size_t MatchBalance(std::size_t at, std::size_t p);
  std::size_t PassFrontier(std::size_t at, std::size_t p);
  std::size_t MatchMost(std::size_t at, std::size_t p, std::size_t item_end, int depth);
  std::size_t MatchFewest(std::size_t at, std::size_t p, std::size_t item_end, int depth);
  std::size_t OpenCapture(std::size_t at, std::size_t p, std::size_t kind, int depth);
  std::size_t CloseCapture(std::size_t at, std::size_t p, int depth);
  std::size_t MatchCapture(std::size_t at, char digit);
  // Takes a step; false: it is over, with none left.
  bool Step(std::uint64_t count = 1);
  std::size_t Break(const char* why);

  std::string_view text_, pattern_;
  std::uint64_t& steps_;
  std::array<Capture, kMostCaptures> captures_{};
  std::size_t level_ = 0;
  std::size_t end_ = 0;
  const char* broken_ = nullptr;
  bool too_much_ = false;
};

// Where `what` is first in `text` from `start` on, without patterns; npos: nowhere, or `steps` ended before that was
// known (then they are 0).
std::size_t FindPlain(std::string_view text, std::string_view what, std::size_t start, std::uint64_t& steps);

}  // namespace weir::engine
