// Access logs of one JSON object a line.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>

#include "base/address.h"
#include "cli/access_log.h"
#include "cli/access_log_time.h"

namespace weir::cli {
namespace {

namespace json = boost::json;

// Where each server keeps what, the most telling first; "a/b" is member b of the object a, and of a list its first.
constexpr auto kAddress = {"client_ip",         "remote_addr", "request/client_ip",
                           "request/remote_ip", "ClientHost",  "remote_ip",
                           "clientip",          "client",      "downstream_remote_address"};
constexpr auto kUser = {"remote_user", "user", "user_id", "ClientUsername"};
constexpr auto kTime = {"time_iso8601", "time_local", "StartUTC", "start_time", "@timestamp",
                        "timestamp",    "time",       "ts",       "msec"};
constexpr auto kMethod = {"request_method", "method", "request/method", "RequestMethod"};
constexpr auto kTarget = {"request_uri", "uri", "request/uri", "RequestPath", "path", "url"};
constexpr auto kHost = {"http_host", "host", "request/host", "RequestHost", "authority", "vhost"};
constexpr auto kStatus = {"status", "response_code", "DownstreamStatus"};
constexpr auto kReferer = {"http_referer", "referer", "request/headers/Referer", "request_Referer"};
constexpr auto kUserAgent = {"http_user_agent", "user_agent", "request/headers/User-Agent", "request_User-Agent"};

const json::value* Find(const json::object& root, std::string_view path) {
  const json::object* object = &root;
  while (true) {
    const std::size_t slash = path.find('/');
    const json::value* found = object->if_contains(path.substr(0, slash));
    if (found == nullptr || slash == std::string_view::npos) return found;
    if (!found->is_object()) return nullptr;
    object = &found->get_object();
    path.remove_prefix(slash + 1);
  }
}

// The first of the members that is there, as text; a number as its digits.
std::string TextOf(const json::object& root, std::initializer_list<const char*> paths) {
  for (const char* path : paths) {
    const json::value* value = Find(root, path);
    if (value != nullptr && value->is_array() && !value->get_array().empty()) value = &value->get_array().front();
    if (value == nullptr) continue;
    if (value->is_string() && !value->get_string().empty()) return std::string(value->get_string());
    if (value->is_int64()) return std::to_string(value->get_int64());
    if (value->is_uint64()) return std::to_string(value->get_uint64());
    if (value->is_double()) return fmt::format("{:.9f}", value->get_double());
  }
  return {};
}

std::optional<LogTime> ReadTime(std::string_view text) {
  if (const auto iso = ParseIsoTime(text)) return iso;
  if (const auto log = ParseLogTime(text)) return log;
  return ParseEpochTime(text);
}

// "GET /a HTTP/1.1" in two.
void SplitRequestLine(std::string_view line, std::string& method, std::string& target) {
  const std::size_t first = line.find(' ');
  if (first == std::string_view::npos) return;
  method = line.substr(0, first);
  const std::string_view rest = line.substr(first + 1);
  target = rest.substr(0, rest.rfind(' '));
}

Result<AccessLogEntry> NotUnderstood(std::string_view what) {
  return Fail(ErrorCode::kInvalidArgument, fmt::format("the JSON object has no {}", what));
}

}  // namespace

Result<AccessLogEntry> AccessLogReader::Read(std::string_view line) try {
  const std::size_t start = line.find_first_not_of(" \t");
  if (start == std::string_view::npos || line[start] != '{') return ParseAccessLogLine(line);
  json::error_code error;
  json::parse_options options;
  options.max_depth = 16;
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  const json::value parsed = json::parse(line, error, {}, options);
  if (error || !parsed.is_object()) return Fail(ErrorCode::kInvalidArgument, "not a JSON object: " + error.message());
  const json::object& root = parsed.get_object();

  std::string address = TextOf(root, kAddress);
  // Envoy and Traefik write the port too.
  const std::size_t colon = address.find(':');
  if (colon != std::string::npos && colon == address.rfind(':')) address.resize(colon);
  if (address.starts_with('[')) address = address.substr(1, address.find(']') - 1);
  if (address.empty()) return NotUnderstood("client address (remote_addr, client_ip, ...)");
  const auto time = ReadTime(TextOf(root, kTime));
  if (!time) return NotUnderstood("time that can be read (time_iso8601, ts, @timestamp, ...)");
  std::string method = TextOf(root, kMethod), target = TextOf(root, kTarget);
  if (const json::value* request = root.if_contains("request"); request != nullptr && request->is_string()) {
    SplitRequestLine(request->get_string(), method, target);
  }
  AccessLogEntry entry;
  entry.time = time->time;
  entry.zone = time->zone;
  const std::string status = TextOf(root, kStatus);
  std::from_chars(status.data(), status.data() + status.size(), entry.status);

  // One text holds all, so that what a view points to is not moved by the next.
  struct Field {
    std::string text;
    std::string_view* view;
  };
  const std::array<Field, 7> fields = {{{std::move(address), &entry.address},
                                        {TextOf(root, kUser), &entry.user},
                                        {std::move(method), &entry.method},
                                        {std::move(target), &entry.target},
                                        {TextOf(root, kHost), &entry.host},
                                        {TextOf(root, kReferer), &entry.referer},
                                        {TextOf(root, kUserAgent), &entry.user_agent}}};
  texts_.clear();
  for (const Field& field : fields) texts_ += field.text;
  std::size_t at = 0;
  for (const Field& field : fields) {
    *field.view = std::string_view(texts_).substr(at, field.text.size());
    at += field.text.size();
    if (*field.view == "-") *field.view = {};
  }
  return entry;
} catch (const std::exception& error) {
  return Fail(ErrorCode::kInvalidArgument, error.what());
}

}  // namespace weir::cli
