#include "engine/identify/identify.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "engine/identify/client_address.h"
#include "engine/identify/request_fields.h"
#include "engine/identify/subject.h"

namespace weir::engine {
namespace {

using Kind = config::Identifier::Kind;

static_assert(Values::kMost == config::kMostValuesOfExtractor);

constexpr std::string_view kFailedSubject = "!failed";
constexpr std::string_view kAmbiguousSubject = "!ambiguous";

void Append(Subjects& to, std::string_view text) {
  if (to.count < kMostSubjects) {
    to.texts[to.count++] = text;
  } else {
    to.too_many = true;
  }
}

// What tells the states of two limits apart, whatever their kind. A window's capacity does not: a client that brings
// another number with each request is held to each by what it has used.
std::string_view NumbersOf(const algorithms::Limit& limit, Arena& arena) {
  const bool is_window = algorithms::IsFixedWindow(limit.kind);
  // But where it takes another form of state (aligned_window.h), it is another state.
  const bool wide = is_window && limit.kind == algorithms::Kind::kFixedWindow &&
                    limit.calendar != algorithms::Calendar::kNone && !limit.count_denied;
  const algorithms::Kind kind = is_window                                 ? algorithms::Kind::kFixedWindow
                                : algorithms::IsSlidingWindow(limit.kind) ? algorithms::Kind::kSlidingWindow
                                                                          : limit.kind;
  const auto unless_window = [is_window](std::uint64_t number) { return is_window ? 0 : number; };
  const std::array<std::uint64_t, 12> numbers = {
      static_cast<std::uint64_t>(wide) << 40 | static_cast<std::uint64_t>(kind) << 32 |
          static_cast<std::uint64_t>(limit.calendar) << 24 | static_cast<std::uint64_t>(limit.zone) << 8 |
          static_cast<std::uint64_t>(limit.shape) << 1 | static_cast<std::uint64_t>(limit.count_denied),
      unless_window(limit.capacity),
      unless_window(limit.rate_count),
      unless_window(static_cast<std::uint64_t>(limit.rate_period)),
      static_cast<std::uint64_t>(limit.window),
      static_cast<std::uint64_t>(limit.precision),
      static_cast<std::uint64_t>(limit.lease),
      static_cast<std::uint64_t>(limit.learning_window),
      limit.adjustment_ppm,
      unless_window(limit.min_capacity),
      unless_window(limit.max_capacity),
      limit.threshold,
  };
  char* const start = arena.Take(numbers.size() * 21);
  char* at = start;
  for (const std::uint64_t number : numbers) {
    at = std::to_chars(at, at + 20, number).ptr;
    *at++ = '/';
  }
  return {start, static_cast<std::size_t>(at - start)};
}

char* PutText(char* at, std::string_view text) {
  at = std::to_chars(at, at + 20, text.size()).ptr;
  *at++ = ':';
  if (!text.empty()) std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

}  // namespace

Subjects Identify::Find(const config::Identifier& identifier) {
  Subjects found;
  Add(identifier, found);
  // Only what a client sends twice makes so many.
  if (found.too_many) {
    found.texts[0] = kAmbiguousSubject;
    found.count = 1;
  }
  for (std::uint32_t i = 0; i < found.count; ++i) found.texts[i] = BoundSubject(found.texts[i], arena_);
  return found;
}

void Identify::Add(const config::Identifier& identifier, Subjects& to) {
  switch (identifier.kind) {
    case Kind::kIp: {
      const auto text = identifier.use_forwarded ? ForwardedText() : ClientText();
      if (text) Append(to, *text);
      return;
    }
    case Kind::kUser:
      return AddUser(identifier, to);
    case Kind::kApiKey:
      return AddApiKey(identifier, to);
    case Kind::kTenant:
      if (!counted_tenant_.empty()) Append(to, Escaped(counted_tenant_));
      return;
    case Kind::kGlobal:
      return Append(to, "*");
    case Kind::kExtractor:
      return AddExtracted(identifier, to);
    case Kind::kDescriptor:
      return AddDescriptor(to);
    case Kind::kCombine:
      return AddCombined(identifier, to);
    case Kind::kFirstAvailable:
      if (!AddTagged("1:", *identifier.primary, to)) AddTagged("2:", *identifier.secondary, to);
      return;
    case Kind::kStrictest:
      AddTagged("1:", *identifier.primary, to);
      AddTagged("2:", *identifier.secondary, to);
      return;
  }
}

void Identify::AddUser(const config::Identifier& identifier, Subjects& to) {
  if (!identifier.fallback_to_ip) {
    if (!facts_.user.empty()) Append(to, Escaped(facts_.user));
    return;
  }
  if (!facts_.user.empty()) return Append(to, arena_.Join({"user:", facts_.user}));
  if (const auto address = ClientText()) Append(to, arena_.Join({"ip:", *address}));
}

void Identify::AddApiKey(const config::Identifier& identifier, Subjects& to) {
  if (facts_.api_key.empty() || !facts_.api_key.starts_with(identifier.key_prefix)) return;
  Append(to, Escaped(facts_.api_key));
  if (identifier.quota_field.empty()) return;
  if (const auto text = FindAttribute(request_, identifier.quota_field)) {
    if (const auto quota = ParseCount(*text)) to.quota = quota;
  }
}

void Identify::AddExtracted(const config::Identifier& identifier, Subjects& to) {
  const Extracted found =
      extractors_.Extract(identifier.extractor_index, request_, facts_.now, identifier.cache_duration, arena_);
  if (found.kind == Extracted::Kind::kSubject) Append(to, Escaped(found.text));
  if (found.other) Append(to, Escaped(*found.other));
  if (found.kind == Extracted::Kind::kFailed) Append(to, kFailedSubject);
  if (found.kind == Extracted::Kind::kAmbiguous) Append(to, kAmbiguousSubject);
}

// By the entries that the rule asks for, in its own order, whatever else was sent. Of a key the last entry counts.
void Identify::AddContained(Subjects& to) {
  const auto value_of = [&](const config::DescriptorPath::Step& step) -> std::string_view {
    if (!step.shared.empty()) return step.shared;
    for (std::size_t i = request_.attributes.size(); i-- > 0;) {
      if (request_.attributes[i].name == step.key) return request_.attributes[i].value;
    }
    return {};
  };
  std::size_t room = 0;
  for (const auto& step : path_->steps) room += step.key.size() + value_of(step).size() + 2 * 21 + 2;
  char* const start = arena_.Take(room);
  char* at = start;
  for (const auto& step : path_->steps) {
    if (at != start) *at++ = ',';
    at = PutText(at, step.key);
    *at++ = '=';
    at = PutText(at, value_of(step));
  }
  Append(to, {start, static_cast<std::size_t>(at - start)});
}

void Identify::AddDescriptor(Subjects& to) {
  if (path_ != nullptr && path_->contained && client_limit_ == nullptr) return AddContained(to);
  const std::string_view numbers = client_limit_ != nullptr ? NumbersOf(*client_limit_, arena_) : std::string_view();
  const auto value_of = [&](std::size_t i) -> std::string_view {
    const bool shared = path_ != nullptr && i < path_->steps.size() && !path_->steps[i].shared.empty();
    return shared ? std::string_view(path_->steps[i].shared) : request_.attributes[i].value;
  };
  std::size_t room = numbers.size();
  for (std::size_t i = 0; i < request_.attributes.size(); ++i) {
    room += request_.attributes[i].name.size() + value_of(i).size() + 2 * 21 + 2;
  }
  char* const start = arena_.Take(room);
  char* at = start;
  if (!numbers.empty()) at = std::copy(numbers.begin(), numbers.end(), at);
  for (std::size_t i = 0; i < request_.attributes.size(); ++i) {
    if (i > 0) *at++ = ',';
    at = PutText(at, request_.attributes[i].name);
    *at++ = '=';
    at = PutText(at, value_of(i));
  }
  Append(to, {start, static_cast<std::size_t>(at - start)});
}

void Identify::AddCombined(const config::Identifier& identifier, Subjects& to) {
  Subjects first, second;
  Add(*identifier.primary, first);
  Add(*identifier.secondary, second);
  for (const std::string_view a : first.all()) {
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), a.size()).ptr;
    const std::string_view length(digits.data(), static_cast<std::size_t>(end - digits.data()));
    for (const std::string_view b : second.all()) Append(to, arena_.Join({length, ":", a, "|", b}));
  }
  to.too_many |= first.too_many || second.too_many;
  if (first.quota) to.quota = first.quota;
  if (second.quota) to.quota = second.quota;
}

bool Identify::AddTagged(std::string_view tag, const config::Identifier& identifier, Subjects& to) {
  Subjects found;
  Add(identifier, found);
  for (const std::string_view text : found.all()) Append(to, arena_.Join({tag, text}));
  to.too_many |= found.too_many;
  if (found.quota) to.quota = found.quota;
  return found.count > 0;
}

std::string_view Identify::FindInstead() { return arena_.Join({"!ip:", ClientText().value_or("unknown")}); }

std::optional<std::string_view> Identify::ClientText() {
  if (!facts_.client) return std::nullopt;
  if (client_text_.empty() && snapshot_.ipv4_prefix() == 32) client_text_ = facts_.client_text;
  if (client_text_.empty()) {
    client_text_ = AddressSubject(*facts_.client, snapshot_.ipv4_prefix(), snapshot_.ipv6_prefix(), arena_);
  }
  return client_text_;
}

std::optional<std::string_view> Identify::ForwardedText() {
  if (!snapshot_.document().ip_rules.trusted_proxies.empty()) return ClientText();
  const auto forwarded = LeftmostForwardedFor(request_);
  const auto address = forwarded ? ParseAddress(*forwarded) : std::nullopt;
  if (!address) return ClientText();
  return AddressSubject(snapshot_.Canonical(*address), snapshot_.ipv4_prefix(), snapshot_.ipv6_prefix(), arena_);
}

}  // namespace weir::engine
