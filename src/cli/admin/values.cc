#include "cli/admin/values.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>
#include <map>

#include "cli/terminal.h"

namespace weir::cli::admin {

namespace json = boost::json;

namespace {

bool IsPath(std::string_view path) {
  return !path.empty() && !path.starts_with('.') && !path.ends_with('.') && path.find("..") == std::string_view::npos;
}

// Every leaf, by its path. A list is one leaf.
void Flatten(const json::value& value, const std::string& path, std::map<std::string, std::string>& out) {
  if (value.is_null()) return;
  if (value.is_object() && (!value.get_object().empty() || path.empty())) {
    for (const auto& [name, member] : value.get_object()) {
      Flatten(member, path.empty() ? std::string(name) : path + "." + std::string(name), out);
    }
    return;
  }
  out[path] = json::serialize(value);
}

json::value PlainScalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const char* const end = text.data() + text.size();
  std::int64_t whole = 0;
  if (const auto [at, fault] = std::from_chars(text.data(), end, whole); fault == std::errc() && at == end)
    return whole;
  std::uint64_t large = 0;
  if (const auto [at, fault] = std::from_chars(text.data(), end, large); fault == std::errc() && at == end)
    return large;
  const bool number = text.find_first_not_of("0123456789.+-eE") == std::string::npos &&
                      text.find_first_of("0123456789") != std::string::npos;
  double real = 0;
  if (const auto [at, fault] = std::from_chars(text.data(), end, real); number && fault == std::errc() && at == end) {
    return real;
  }
  return json::string(text);
}

}  // namespace

const json::value* At(const json::value& value, std::string_view path) {
  const json::value* at = &value;
  while (at != nullptr && !path.empty()) {
    const std::string_view part = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(part.size() + 1, path.size()));
    at = at->is_object() ? at->get_object().if_contains(part) : nullptr;
  }
  return at;
}

std::string TextAt(const json::value& value, std::string_view path) {
  const json::value* const found = At(value, path);
  if (found == nullptr || found->is_null()) return {};
  return found->is_string() ? std::string(found->get_string()) : json::serialize(*found);
}

Outcome<json::object> PatchOf(const std::vector<std::string>& assignments) {
  json::object patch;
  for (const std::string& one : assignments) {
    const std::size_t equals = one.find('=');
    const std::string path = one.substr(0, equals);
    if (equals == std::string::npos || !IsPath(path)) {
      return Misused(fmt::format("'{}' is no assignment such as rule.max_requests=500", Printable(one)));
    }
    const std::string text = one.substr(equals + 1);
    boost::system::error_code fault;
    json::parse_options bounded;
    bounded.max_depth = 32;
    json::value value = json::parse(text, fault, {}, bounded);
    if (fault) value = json::string(text);
    json::object* object = &patch;
    std::string_view rest = path;
    while (rest.find('.') != std::string_view::npos) {
      const std::string_view part = rest.substr(0, rest.find('.'));
      rest.remove_prefix(part.size() + 1);
      json::value& child = (*object)[part];
      if (child.is_null()) child = json::object();
      if (!child.is_object()) return Misused(fmt::format("'{}' is assigned twice", Printable(path)));
      object = &child.get_object();
    }
    if (!object->emplace(rest, std::move(value)).second) {
      return Misused(fmt::format("'{}' is assigned twice", Printable(path)));
    }
  }
  return patch;
}

std::optional<Nanos> DurationOf(std::string_view text) {
  const auto unit = [&]() -> Nanos {
    switch (text.empty() ? '\0' : text.back()) {
      case 's':
        return kSecond;
      case 'm':
        return kMinute;
      case 'h':
        return kHour;
      case 'd':
        return kDay;
      case 'w':
        return 7 * kDay;
      default:
        return 0;
    }
  }();
  if (unit == 0) return std::nullopt;
  const std::string_view digits = text.substr(0, text.size() - 1);
  std::uint64_t count = 0;
  const auto [at, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
  constexpr Nanos kLongest = 100 * 365 * kDay;
  const bool good = fault == std::errc() && at == digits.data() + digits.size() &&
                    count <= static_cast<std::uint64_t>(kLongest / unit);
  if (!good) return std::nullopt;
  return static_cast<Nanos>(count) * unit;
}

namespace {

// The server reads a timestamp; what is none, as a mistyped unit, is told here.
Outcome<std::string> TimeOf(std::string_view text, Nanos now, int direction) {
  if (const auto duration = DurationOf(text)) return IsoTimestamp(now + direction * *duration, 0);
  const bool timestamp = text.size() >= 20 && text[4] == '-' && (text[10] == 'T' || text[10] == 't');
  if (timestamp) return std::string(text);
  return Misused(fmt::format("'{}' is no time: 2026-12-04T17:00:00Z, or so long {}: 90m, 12h, 3d, 2w", Printable(text),
                             direction > 0 ? "from now" : "ago"));
}

}  // namespace

Outcome<std::string> ExpiryOf(std::string_view text, Nanos now) { return TimeOf(text, now, 1); }
Outcome<std::string> PastOf(std::string_view text, Nanos now) { return TimeOf(text, now, -1); }

json::value ToJson(const config::Node& node) {
  using Kind = config::Node::Kind;
  switch (node.kind) {
    case Kind::kNull:
      return nullptr;
    case Kind::kBool:
      return node.text == "true";
    case Kind::kNumber:
    case Kind::kPlain:
      return PlainScalar(node.text);
    case Kind::kString:
      return json::string(node.text);
    case Kind::kSequence: {
      json::array items;
      for (const config::Node& child : node.children) items.push_back(ToJson(child));
      return items;
    }
    case Kind::kMap: {
      json::object object;
      for (const config::Node& child : node.children) object[child.key] = ToJson(child);
      return object;
    }
  }
  return nullptr;
}

std::string PrettyJson(const json::value& value) {
  return config::EmitJson(config::ParseJsonTree(json::serialize(value)).root);
}

std::string Yaml(const json::value& value) {
  return config::EmitYaml(config::ParseJsonTree(json::serialize(value)).root);
}

std::string DifferenceText(const json::value& before, const json::value& after, std::string_view indent) {
  std::map<std::string, std::string> was, is;
  Flatten(before, "", was);
  Flatten(after, "", is);
  std::string out;
  const auto line = [&](char sign, const std::string& path, const std::string& value) {
    const std::string text =
        fmt::format("{} {}{}{}", sign, Printable(path), path.empty() ? "" : ": ", Printable(value));
    out += std::string(indent) + Coloured(text, sign == '+' ? Colour::kGreen : Colour::kRed) + '\n';
  };
  std::map<std::string, std::string> all = was;
  all.insert(is.begin(), is.end());
  for (const auto& [path, ignored] : all) {
    const auto old = was.find(path), now = is.find(path);
    if (old != was.end() && now != is.end() && old->second == now->second) continue;
    if (old != was.end()) line('-', path, old->second);
    if (now != is.end()) line('+', path, now->second);
  }
  return out;
}

}  // namespace weir::cli::admin
