#include "engine/identify/extractors.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <optional>

#include "base/log.h"
#include "base/path.h"
#include "engine/identify/lua_script.h"
#include "engine/identify/request_fields.h"

namespace weir::engine {
namespace {

enum class Source : std::uint8_t { kHeader, kQuery, kCookie, kAttribute, kBasicAddress, kPath, kJwt, kLua, kFunction };

struct Prefix {
  std::string_view text;
  Source source;
};
constexpr std::array<Prefix, 7> kPrefixes{{{"header:", Source::kHeader},
                                           {"query:", Source::kQuery},
                                           {"cookie:", Source::kCookie},
                                           {"attribute:", Source::kAttribute},
                                           {"path:", Source::kPath},
                                           {"jwt:", Source::kJwt},
                                           {"lua:", Source::kLua}}};

constexpr std::string_view kBasicAddress = "basic:ip";

constexpr std::int64_t kRegexMemory = 1 << 20;

bool WorthCaching(Source source) { return source >= Source::kPath; }

// As the basic limiter did it, defects included: configurations converted from it must limit the same callers.
std::string_view BasicAddress(const Request& request) {
  const auto visible = [](char c) { return c == '\t' || (c >= ' ' && c <= '~'); };
  if (const auto forwarded = FindHeader(request, "x-forwarded-for");
      forwarded && std::ranges::all_of(*forwarded, visible)) {
    return TrimBlank(forwarded->substr(0, forwarded->find(',')));
  }
  if (const auto real = FindHeader(request, "x-real-ip"); real && std::ranges::all_of(*real, visible)) return *real;
  return "127.0.0.1";
}

// All that a script or function can see of a request, so written that different requests differ.
std::string_view Serialize(const Request& request, Arena& arena) {
  const std::array<std::string_view, 9> fields{request.domain,  request.peer_ip, request.user,
                                               request.tenant,  request.tier,    request.api_key,
                                               request.country, request.method,  request.path};
  constexpr std::size_t kLength = sizeof(std::uint64_t);
  std::size_t size = 3 * kLength;
  for (const std::string_view field : fields) size += kLength + field.size();
  for (const auto& list : {request.headers, request.attributes}) {
    for (const Attribute& one : list) size += 2 * kLength + one.name.size() + one.value.size();
  }
  char* const start = arena.Take(size);
  char* at = start;
  const auto put_number = [&at](std::uint64_t number) {
    std::memcpy(at, &number, sizeof number);
    at += sizeof number;
  };
  const auto put = [&](std::string_view text) {
    put_number(text.size());
    at = std::copy(text.begin(), text.end(), at);
  };
  put_number(request.cost);
  for (const std::string_view field : fields) put(field);
  for (const auto& list : {request.headers, request.attributes}) {
    put_number(list.size());
    for (const Attribute& one : list) {
      put(one.name);
      put(one.value);
    }
  }
  return {start, size};
}

bool SendsTwoTokens(const Request& request) {
  const Values values = FindHeaderValues(request, "authorization");
  return values.count > 1;
}

std::uint64_t NextId() {
  static std::atomic<std::uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

Extracted FromOptional(std::optional<std::string_view> value) {
  if (!value) return {};
  return {.kind = Extracted::Kind::kSubject, .text = *value};
}

Extracted FromValues(const Values& values) {
  if (values.ambiguous) return {.kind = Extracted::Kind::kAmbiguous, .text = {}};
  if (values.count == 0) return {};
  Extracted found{.kind = Extracted::Kind::kSubject, .text = values.texts[0]};
  if (values.count > 1) found.other = values.texts[1];
  return found;
}

// What the expression finds in the path, in each reading of it.
Extracted FindInPath(const RE2& regex, std::string_view target, Arena& arena) {
  const PathReadings paths(target);
  Values values;
  for (const std::string_view path : paths.all()) {
    std::array<re2::StringPiece, 2> match;
    const int groups = std::min(regex.NumberOfCapturingGroups(), 1);
    if (!regex.Match(path, 0, path.size(), RE2::UNANCHORED, match.data(), 1 + groups)) continue;
    const re2::StringPiece& found = match[static_cast<std::size_t>(groups)];
    if (found.data() == nullptr) continue;  // an alternative without the group matched
    // A path that is normal already is the request's own text; another one goes with `paths`.
    const std::string_view text(found.data(), found.size());
    const bool borrowed = std::less_equal<>()(target.data(), text.data()) &&
                          std::less_equal<>()(text.data() + text.size(), target.data() + target.size());
    values.Add(borrowed ? text : arena.Copy(text));
  }
  return FromValues(values);
}

}  // namespace

struct Extractors::One {
  std::uint64_t id = 0;
  Source source = Source::kHeader;
  std::string name;  // of the header, parameter, cookie, attribute, claim, function
  std::unique_ptr<const RE2> regex;
  std::optional<LuaScript> script;
  Extractor function;
};

struct Extractors::Failures {
  std::atomic<std::uint64_t> count{0};
};

Extractors::Extractors(JwtReader jwt) : jwt_(std::move(jwt)), failures_(std::make_unique<Failures>()) {}
Extractors::~Extractors() = default;
Extractors::Extractors(Extractors&&) noexcept = default;
Extractors& Extractors::operator=(Extractors&&) noexcept = default;

Result<Extractors> Extractors::Create(std::span<const std::string> specs, const JwtConfig& jwt,
                                      const Registered& registered) {
  auto reader = JwtReader::Create(jwt);
  if (!reader) return std::unexpected(reader.error());
  Extractors made(std::move(*reader));
  for (const std::string& spec : specs) {
    const auto wrong = [&spec](std::string_view why) {
      return Fail(ErrorCode::kInvalidArgument, fmt::format("extractor '{}': {}", spec, why));
    };
    One one;
    one.id = NextId();
    if (spec == kBasicAddress) {
      one.source = Source::kBasicAddress;
      made.all_.push_back(std::move(one));
      continue;
    }
    const auto* const prefix =
        std::ranges::find_if(kPrefixes, [&](const Prefix& p) { return spec.starts_with(p.text); });
    if (prefix == kPrefixes.end()) {
      const auto function = std::ranges::find(registered, spec, &Registered::value_type::first);
      if (function == registered.end() || !function->second)
        return wrong("no such extractor, nor a function registered by that name");
      one.source = Source::kFunction;
      one.name = spec;
      one.function = function->second;
      made.all_.push_back(std::move(one));
      continue;
    }
    one.source = prefix->source;
    one.name = spec.substr(prefix->text.size());
    if (one.name.empty()) return wrong("nothing after the colon");
    if (one.source == Source::kPath) {
      RE2::Options options(RE2::Quiet);
      options.set_max_mem(kRegexMemory);
      auto regex = std::make_unique<RE2>(one.name, options);
      if (!regex->ok()) return wrong(regex->error());
      one.regex = std::move(regex);
    } else if (one.source == Source::kLua) {
      auto script = LuaScript::Create(one.name);
      if (!script) return wrong(script.error().message);
      one.script.emplace(std::move(*script));
    }
    made.all_.push_back(std::move(one));
  }
  return made;
}

Extracted Extractors::Run(const One& one, const Request& request, Nanos now, Arena& arena, Nanos& until) const {
  switch (one.source) {
    case Source::kHeader:
      return FromValues(FindHeaderValues(request, one.name));
    case Source::kQuery:
      return FromValues(FindQueryValues(request, one.name, arena));
    case Source::kCookie:
      return FromValues(FindCookieValues(request, one.name, arena));
    case Source::kAttribute:
      return FromOptional(FindAttribute(request, one.name));
    case Source::kBasicAddress:
      return {.kind = Extracted::Kind::kSubject, .text = BasicAddress(request)};
    case Source::kPath:
      return FindInPath(*one.regex, request.path, arena);
    case Source::kJwt: {
      if (SendsTwoTokens(request)) return {.kind = Extracted::Kind::kAmbiguous, .text = {}};
      const auto token = FindBearerToken(request);
      if (!token) return {};
      const auto claim = jwt_.Read(*token, one.name, now, arena);
      if (!claim) return {};
      until = claim->until;
      return {.kind = Extracted::Kind::kSubject, .text = claim->text};
    }
    case Source::kLua: {
      const LuaScript::Answer answer = one.script->Run(request, arena);
      if (answer.status == LuaScript::Status::kNone) return {};
      if (answer.status == LuaScript::Status::kSubject) return {.kind = Extracted::Kind::kSubject, .text = answer.text};
      // The first is enough to find the fault; the count tells how many there were.
      if (failures_->count.fetch_add(1, std::memory_order_relaxed) == 0) {
        log::Warn("a script identifier failed; such requests share one subject",
                  {{"script", one.name}, {"error", std::string(answer.text)}});
      }
      return {.kind = Extracted::Kind::kFailed, .text = answer.text};
    }
    case Source::kFunction: {
      const std::string_view value = one.function(request);
      return value.empty() ? Extracted{} : Extracted{.kind = Extracted::Kind::kSubject, .text = value};
    }
  }
  return {};
}

Extracted Extractors::Extract(std::uint32_t index, const Request& request, Nanos now, Nanos cache_duration,
                              Arena& arena) const {
  const One& one = all_[index];
  Nanos until = INT64_MAX;
  if (cache_duration <= 0 || !WorthCaching(one.source)) return Run(one, request, now, arena, until);

  CacheKey key{.extractor = one.id, .input = {}};
  if (one.source == Source::kPath) {
    key.input = request.path.substr(0, request.path.find('?'));
  } else if (one.source == Source::kJwt) {
    if (SendsTwoTokens(request)) return Run(one, request, now, arena, until);
    key.input = FindBearerToken(request).value_or(std::string_view());
  } else {
    key.input = Serialize(request, arena);
  }
  // A copy: the cache may be written again while this answer is still in use.
  if (const Extracted* known = Recall(key, now)) return {.kind = known->kind, .text = arena.Copy(known->text)};
  const Extracted answer = Run(one, request, now, arena, until);
  const Nanos kept = now > INT64_MAX - cache_duration ? INT64_MAX : now + cache_duration;
  if (!answer.other) Remember(key, answer, now, std::min(kept, until));
  return answer;
}

std::uint64_t Extractors::failures() const { return failures_->count.load(std::memory_order_relaxed); }

}  // namespace weir::engine
