#include "cli/access_log.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <chrono>
#include <optional>

#include "base/address.h"
#include "cli/access_log_time.h"

namespace weir::cli {
namespace {

// Walks a line from the left; remembers what it wanted when it could not go on.
class Cursor {
 public:
  Cursor(std::string_view line, std::size_t from) : line_(line), at_(from) {}

  std::optional<std::string_view> Until(char end, std::string_view what) {
    const std::size_t found = line_.find(end, at_);
    if (found == std::string_view::npos) return Missing(what);
    const std::string_view taken = line_.substr(at_, found - at_);
    at_ = found + 1;
    return taken;
  }

  bool Skip(char expected, std::string_view what) {
    if (at_ >= line_.size() || line_[at_] != expected) {
      Missing(what);
      return false;
    }
    ++at_;
    return true;
  }

  // A quoted field; a backslash hides the next byte, as both servers write it.
  std::optional<std::string_view> Quoted(std::string_view what) {
    if (!Skip('"', what)) return std::nullopt;
    const std::size_t start = at_;
    while (at_ < line_.size() && line_[at_] != '"') at_ += line_[at_] == '\\' ? 2U : 1U;
    if (at_ >= line_.size()) {
      at_ = start;
      return Missing(what);
    }
    return line_.substr(start, at_++ - start);
  }

  std::string_view Word() {
    const std::size_t start = at_;
    while (at_ < line_.size() && line_[at_] != ' ') ++at_;
    return line_.substr(start, at_ - start);
  }

  bool AtEnd() const { return at_ >= line_.size(); }

  std::unexpected<Error> Failure() const {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("expected {} at byte {}", wanted_, at_ + 1));
  }

  std::optional<std::string_view> Missing(std::string_view what) {
    wanted_ = what;
    return std::nullopt;
  }

 private:
  std::string_view line_;
  std::size_t at_ = 0;
  std::string_view wanted_ = "a log line";
};

template <typename Number>
bool ReadNumber(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

std::string_view DashIsEmpty(std::string_view field) { return field == "-" ? std::string_view() : field; }

std::string_view WithoutPort(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  return colon == std::string_view::npos || host.find(']', colon) != std::string_view::npos ? host
                                                                                            : host.substr(0, colon);
}

// The length of a virtual host in front of the address; 0: there is none. A host is no address, and an address follows
// it (a log of host names has the identity field there, which is none).
std::size_t HostEnd(std::string_view line) {
  const std::size_t first = line.find(' ');
  if (first == std::string_view::npos || first == 0) return 0;
  const std::size_t second = line.find(' ', first + 1);
  if (second == std::string_view::npos || !ParseAddress(line.substr(first + 1, second - first - 1))) return 0;
  const std::string_view identity = line.substr(second + 1);
  // "192.0.2.1 203.0.113.9 - [": an identity that looks like an address. A user and a time follow two fields of it.
  const bool is_address = ParseAddress(line.substr(0, first)).has_value();
  const std::size_t time = identity.find('[');
  if (!is_address) return first;
  const std::size_t blank = identity.find(' ');
  return blank != std::string_view::npos && time != std::string_view::npos && blank + 1 < time &&
                 identity.find(' ', blank + 1) < time
             ? first
             : 0;
}

}  // namespace

Result<AccessLogEntry> ParseAccessLogLine(std::string_view line) {
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  AccessLogEntry entry;
  const std::size_t host_end = HostEnd(line);
  if (host_end > 0) {
    entry.host = WithoutPort(line.substr(0, host_end));
  }
  Cursor cursor(line, host_end > 0 ? host_end + 1 : 0);
  const auto address = cursor.Until(' ', "an address and a space");
  if (!address || address->empty()) return cursor.Failure();
  if (!cursor.Until(' ', "the identity field ('-')")) return cursor.Failure();
  // A user's name may hold spaces; the bracket of the time ends it.
  const auto user = cursor.Until('[', "the user and a '[' before the time");
  if (!user || user->empty()) return cursor.Failure();
  const auto time_text = cursor.Until(']', "a ']' behind the time");
  if (!time_text) return cursor.Failure();
  const auto time = ParseLogTime(*time_text);
  if (!time) {
    cursor.Missing("a time like 10/Oct/2026:13:55:36 +0000 before this");
    return cursor.Failure();
  }
  if (!cursor.Skip(' ', "a space behind the time")) return cursor.Failure();
  const auto request = cursor.Quoted("the quoted request line");
  if (!request || !cursor.Skip(' ', "a space behind the request line")) return cursor.Failure();
  if (!ReadNumber(cursor.Word(), entry.status)) {
    cursor.Missing("a status code before this");
    return cursor.Failure();
  }
  entry.address = *address;
  entry.user = DashIsEmpty(user->substr(0, user->size() - 1));
  entry.time = time->time;
  entry.zone = time->zone;
  // A request that was never understood is logged as "-" or as raw bytes: it has no method, but it did arrive.
  const std::size_t method_end = request->find(' ');
  if (method_end != std::string_view::npos) {
    entry.method = request->substr(0, method_end);
    const std::string_view rest = request->substr(method_end + 1);
    entry.target = rest.substr(0, rest.rfind(' '));
  }
  if (cursor.AtEnd() || !cursor.Skip(' ', "a size")) return entry;
  cursor.Word();
  if (cursor.AtEnd() || !cursor.Skip(' ', "a referer")) return entry;
  const auto referer = cursor.Quoted("a quoted referer");
  if (!referer || !cursor.Skip(' ', "a user agent")) return entry;
  const auto agent = cursor.Quoted("a quoted user agent");
  entry.referer = DashIsEmpty(*referer);
  if (agent) entry.user_agent = DashIsEmpty(*agent);
  return entry;
}

}  // namespace weir::cli
