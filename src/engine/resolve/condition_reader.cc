#include "engine/resolve/condition_reader.h"

#include <array>

#include "engine/identify/extractors.h"
#include "engine/identify/request_fields.h"

namespace weir::engine {

std::string_view ConditionReader::Get(Text field) const {
  switch (field) {
    case Text::kMethod:
      return facts_.method;
    case Text::kPath:
      if (!path_) path_ = NormalizePath(facts_.path, path_room_).path;
      return *path_;
    case Text::kHost:
      return Find(Map::kHeaders, "host").value_or(std::string_view());
    case Text::kUser:
      return facts_.user;
    case Text::kTenant:
      return tenant_;
    case Text::kTier:
      return facts_.tier;
    case Text::kApiKey:
      return facts_.api_key;
    case Text::kIp: {
      if (!facts_.client_text.empty() || !facts_.client) return facts_.client_text;
      std::array<char, 46> room;
      const std::string_view text = FormatAddress(*facts_.client, room);
      return facts_.arena == nullptr ? std::string_view() : facts_.arena->Copy(text);
    }
    case Text::kCountry:
      return facts_.country;
    case Text::kDomain:
      return facts_.domain;
  }
  return {};
}

std::optional<std::string_view> ConditionReader::Find(Map map, std::string_view key) const {
  if (facts_.request == nullptr && map != Map::kScopes) return std::nullopt;
  const auto only = [this](const Values& values) -> std::optional<std::string_view> {
    ambiguous_ |= values.ambiguous || values.count > 1;
    if (values.count == 0) return std::nullopt;
    return values.texts[0];
  };
  switch (map) {
    case Map::kHeaders:
      return only(FindHeaderValues(*facts_.request, key));
    case Map::kQuery:
      return only(FindQueryValues(*facts_.request, key, *facts_.arena));
    case Map::kCookies:
      return only(FindCookieValues(*facts_.request, key, *facts_.arena));
    case Map::kAttributes:
      return FindAttribute(*facts_.request, key);
    case Map::kScopes:
      if (facts_.key == nullptr || !facts_.key->HasScope(key)) return std::nullopt;
      return key;
    case Map::kClaims: {
      const auto token = FindBearerToken(*facts_.request);
      const auto claim = token ? facts_.extractors->jwt().Read(*token, key, facts_.now, *facts_.arena) : std::nullopt;
      if (!claim) return std::nullopt;
      return claim->text;
    }
  }
  return std::nullopt;
}

std::uint64_t ConditionReader::cost() const { return facts_.request == nullptr ? 1 : facts_.request->cost; }

}  // namespace weir::engine
