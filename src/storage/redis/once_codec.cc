#include "storage/redis/once_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <vector>

namespace weir::storage::redis {
namespace {

template <typename Number>
std::optional<Number> TakeNumber(std::string_view& text) {
  Number value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.empty()) return value;
  if (!text.starts_with(' ')) return std::nullopt;
  text.remove_prefix(1);
  return value;
}

}  // namespace

void AppendOnceName(std::string& out, std::string_view prefix, const Key& id) {
  out += prefix;
  fmt::format_to(std::back_inserter(out), "id1:{:016x}{:016x}", id.hi, id.lo);
}

void AddOnce(const Once& once, Nanos now, Command& command) {
  command.Add(std::max<Nanos>(1, once.life / kMillisecond));
  std::string note = fmt::format("{}", now);
  for (const std::uint64_t token : once.tokens) fmt::format_to(std::back_inserter(note), " {}", token);
  command.Add(note);
}

bool ReadOnce(std::string_view told, Nanos now, Once& once, Nanos& at) {
  if (told == "n") {
    once.repeated = false;
    at = now;
    return true;
  }
  if (!told.starts_with('r')) return false;
  told.remove_prefix(1);
  const auto when = TakeNumber<Nanos>(told);
  if (!when) return false;
  std::vector<std::uint64_t> tokens;
  while (!told.empty() && tokens.size() <= once.tokens.size()) {
    const auto token = TakeNumber<std::uint64_t>(told);
    if (!token) return false;
    tokens.push_back(*token);
  }
  if (tokens.size() != once.tokens.size()) return false;
  std::ranges::copy(tokens, once.tokens.begin());
  once.repeated = true;
  at = *when;
  return true;
}

}  // namespace weir::storage::redis
