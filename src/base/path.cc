#include "base/path.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

namespace weir {
namespace {

enum class Reading : std::uint8_t { kStrict, kLenient };
enum class Fragment : std::uint8_t { kCut, kKept };

// The bytes of "https://"; 0: the target does not begin with an origin.
std::size_t SchemeLength(std::string_view target) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (target.empty() || !letter(target.front())) return 0;
  std::size_t end = 1;
  while (end < target.size() && (letter(target[end]) || (target[end] >= '0' && target[end] <= '9') ||
                                 target[end] == '+' || target[end] == '-' || target[end] == '.')) {
    ++end;
  }
  return target.substr(end).starts_with("://") ? end + 3 : 0;
}

// The raw path of a target: without its origin and what follows the path.
std::string_view RawPath(std::string_view target, Reading reading, Fragment fragment) {
  const bool cut = fragment == Fragment::kCut;
  const std::string_view end = cut ? "?#" : "?";
  if (const std::size_t scheme = SchemeLength(target); scheme > 0) {
    // For servers that take '\' as '/' the authority ends there, too.
    const bool lenient = reading == Reading::kLenient;
    const std::size_t path = target.find_first_of(lenient ? (cut ? "/?#\\" : "/?\\") : (cut ? "/?#" : "/?"), scheme);
    if (path == std::string_view::npos || target[path] == '?' || target[path] == '#') return "/";
    target.remove_prefix(path);
  }
  return target.substr(0, target.find_first_of(end));
}

bool HasFragment(std::string_view target) {
  const std::size_t end = target.find_first_of("?#");
  return end != std::string_view::npos && target[end] == '#';
}

// A '\' in the authority, where the lenient reading begins the path.
bool EndsAuthorityEarly(std::string_view target) {
  const std::size_t scheme = SchemeLength(target);
  if (scheme == 0) return false;
  const std::size_t end = target.find_first_of("/?#\\", scheme);
  return end != std::string_view::npos && target[end] == '\\';
}

enum class ByteClass : std::uint8_t { kPlain, kSlash, kDot, kSpecial, kQuery, kFragment };

constexpr std::array<ByteClass, 256> MakeClasses() {
  std::array<ByteClass, 256> classes{};
  const auto set = [&](char c, ByteClass to) { classes[static_cast<unsigned char>(c)] = to; };
  set('/', ByteClass::kSlash);
  set('.', ByteClass::kDot);
  for (const char c : {'%', '\\', ';'}) set(c, ByteClass::kSpecial);
  set('?', ByteClass::kQuery);
  set('#', ByteClass::kFragment);
  return classes;
}
constexpr std::array<ByteClass, 256> kClasses = MakeClasses();

// Sixteen bytes at a time.
using Bytes = std::uint8_t __attribute__((vector_size(16)));
using Halves = std::uint64_t __attribute__((vector_size(16)));

constexpr Bytes Splat(std::uint8_t c) { return Bytes{c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c}; }

// Whether these bytes hold "/.", "//", or one that may have a meaning of its own. What they begin with counts as what
// follows the last of them too: a needless closer look now and then.
inline bool IsOdd(Bytes bytes) {
  const auto slash = bytes == Splat('/');
  const auto joins = slash | (bytes == Splat('.'));
  const auto special = (bytes == Splat('%')) | (bytes == Splat('\\')) | (bytes == Splat(';')) | (bytes == Splat('?')) |
                       (bytes == Splat('#'));
  const auto slashes = reinterpret_cast<Halves>(slash);
  const auto next = reinterpret_cast<Halves>(joins);
  const auto specials = reinterpret_cast<Halves>(special);
  const std::uint64_t first = (next[0] >> 8) | (next[1] << 56);
  const std::uint64_t second = (next[1] >> 8) | (next[0] << 56);
  return ((slashes[0] & first) | (slashes[1] & second) | specials[0] | specials[1]) != 0;
}

// Whether the path is in normal form for sure: it begins with '/', and holds no "/." or "//", no query, and nothing
// else that may not be normal. Reads some bytes twice rather than the last ones one by one.
bool IsPlainPath(std::string_view raw) {
  if constexpr (std::endian::native != std::endian::little) return false;
  Bytes bytes;
  if (raw.size() < 8 || raw.front() != '/') return false;
  if (raw.size() < 16) {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::memcpy(&begin, raw.data(), 8);
    std::memcpy(&end, raw.data() + raw.size() - 8, 8);
    const Halves halves{begin, end};
    return !IsOdd(reinterpret_cast<Bytes>(halves));
  }
  // The last byte of each block is the first of the next, so that no pair falls between two.
  for (std::size_t i = 0; i + 16 < raw.size(); i += 15) {
    std::memcpy(&bytes, raw.data() + i, 16);
    if (IsOdd(bytes)) return false;
  }
  std::memcpy(&bytes, raw.data() + raw.size() - 16, 16);
  return !IsOdd(bytes);
}

// The part before the query, when that is in normal form for sure; nullopt when it may not be ("/.well-known") or other
// servers may read another.
std::optional<std::string_view> NormalPart(std::string_view raw) {
  bool begins_segment = true;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    switch (kClasses[static_cast<unsigned char>(raw[i])]) {
      case ByteClass::kPlain:
        begins_segment = false;
        break;
      case ByteClass::kSlash:
        if (begins_segment && i > 0) return std::nullopt;
        begins_segment = true;
        break;
      case ByteClass::kDot:
        if (begins_segment) return std::nullopt;
        break;
      case ByteClass::kSpecial:
      case ByteClass::kFragment:
        return std::nullopt;
      case ByteClass::kQuery:
        return raw.substr(0, i);
    }
  }
  return raw;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The byte that "%XX" at `at` stands for.
std::optional<char> DecodeTriplet(std::string_view path, std::size_t at) {
  if (at + 2 >= path.size()) return std::nullopt;
  const int high = HexValue(path[at + 1]);
  const int low = HexValue(path[at + 2]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high * 16 + low);
}

// Writes segments one after another, with the separators between them, and takes back those that mean nothing.
class Writer {
 public:
  Writer(PathBuffer& out, Reading reading, bool absolute) : out_(out), reading_(reading), absolute_(absolute) {
    out_.clear();
    if (absolute_) out_.push_back('/');
    start_ = out_.size();
  }

  void Separator() {
    EndSegment();
    skipping_parameters_ = false;
  }

  void Byte(char c) {
    if (reading_ == Reading::kLenient && c == ';') skipping_parameters_ = true;
    if (!skipping_parameters_) out_.push_back(c);
  }

  void Escape(char high, char low) {
    Byte('%');
    Byte(high);
    Byte(low);
  }

  std::string_view Finish() {
    EndSegment();
    // What is left ends in '/' when the last segment was empty or dots; otherwise EndSegment wrote one too many.
    if (!ended_in_slash_ && !out_.empty() && out_.back() == '/') out_.pop_back();
    return {out_.data(), out_.size()};
  }

 private:
  void EndSegment() {
    const std::string_view segment(out_.data() + start_, out_.size() - start_);
    ended_in_slash_ = segment.empty() || segment == "." || segment == "..";
    if (segment == "..") {
      out_.resize(start_);
      RemoveLastSegment();
    } else if (ended_in_slash_) {
      out_.resize(start_);
    } else {
      out_.push_back('/');
    }
    start_ = out_.size();
  }

  // The buffer holds whole segments, each with a '/' behind it, after the root's '/' of an absolute path.
  void RemoveLastSegment() {
    const std::size_t root = absolute_ ? 1 : 0;
    if (out_.size() <= root) return;
    out_.pop_back();
    while (out_.size() > root && out_.back() != '/') out_.pop_back();
  }

  PathBuffer& out_;
  const Reading reading_;
  const bool absolute_;
  std::size_t start_ = 0;  // of the segment being written
  bool skipping_parameters_ = false;
  bool ended_in_slash_ = false;
};

bool IsAbsolute(std::string_view path, Reading reading) {
  if (path[0] == '/') return true;
  if (reading == Reading::kStrict) return false;
  const char first = path[0] == '%' ? DecodeTriplet(path, 0).value_or('%') : path[0];
  return first == '/' || first == '\\';
}

// Returns the normal form of a path that is not empty; tells through `ambiguous` whether the other reading may differ.
std::string_view Rewrite(std::string_view path, Reading reading, PathBuffer& buffer, bool* ambiguous) {
  const bool lenient = reading == Reading::kLenient;
  Writer writer(buffer, reading, IsAbsolute(path, reading));
  for (std::size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    bool escaped = false;
    if (c == '%') {
      const auto decoded = DecodeTriplet(path, i);
      if (!decoded) {
        writer.Escape('2', '5');
        continue;
      }
      c = *decoded;
      escaped = true;
      i += 2;
    }
    if (c == '\\' || c == ';' || (escaped && c == '/')) *ambiguous = true;
    if ((c == '/' && (!escaped || lenient)) || (c == '\\' && lenient)) {
      writer.Separator();
    } else if (escaped && c == '/') {
      writer.Escape('2', 'F');
    } else if (escaped && c == '%') {
      writer.Escape('2', '5');
    } else if (escaped && c == '?') {
      writer.Escape('3', 'F');
    } else if (escaped && c == '#') {
      writer.Escape('2', '3');
    } else {
      writer.Byte(c);
    }
  }
  return writer.Finish();
}

}  // namespace

NormalPath NormalizePath(std::string_view raw, PathBuffer& buffer) {
  if (IsPlainPath(raw)) return {.path = raw};
  if (SchemeLength(raw) == 0) {
    if (const auto path = NormalPart(raw)) return {.path = *path};
  }
  NormalPath normal{.path = {}, .ambiguous = EndsAuthorityEarly(raw), .fragment = HasFragment(raw)};
  const std::string_view path = RawPath(raw, Reading::kStrict, Fragment::kCut);
  if (!path.empty()) normal.path = Rewrite(path, Reading::kStrict, buffer, &normal.ambiguous);
  return normal;
}

std::string_view NormalizePathLeniently(std::string_view raw, PathBuffer& buffer) {
  const std::string_view path = RawPath(raw, Reading::kLenient, Fragment::kCut);
  bool ambiguous = false;
  return path.empty() ? path : Rewrite(path, Reading::kLenient, buffer, &ambiguous);
}

void PathReadings::AddOthers(std::string_view target, const NormalPath& normal) {
  if (normal.ambiguous) Add(NormalizePathLeniently(target, buffers_[1]));
  if (!normal.fragment) return;
  bool ambiguous = false;
  const std::string_view strict = RawPath(target, Reading::kStrict, Fragment::kKept);
  Add(strict.empty() ? strict : Rewrite(strict, Reading::kStrict, buffers_[2], &ambiguous));
  const std::string_view lenient = RawPath(target, Reading::kLenient, Fragment::kKept);
  Add(lenient.empty() ? lenient : Rewrite(lenient, Reading::kLenient, buffers_[3], &ambiguous));
}

void PathReadings::Add(std::string_view path) {
  if (std::ranges::find(all(), path) == all().end()) readings_[count_++] = path;
}

std::string_view PathOfTarget(std::string_view target) { return RawPath(target, Reading::kStrict, Fragment::kCut); }

std::string_view QueryOfTarget(std::string_view target) {
  const std::size_t mark = target.find('?');
  return mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
}

}  // namespace weir
