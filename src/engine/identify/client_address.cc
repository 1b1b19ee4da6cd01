#include "engine/identify/client_address.h"

#include "engine/identify/request_fields.h"

namespace weir::engine {
namespace {

constexpr int kMostHops = 64;

bool IsTokenChar(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~:[]").find(c) != std::string_view::npos;
}

// Cuts a token or a quoted string off the front of `rest`; false when there is neither. Quoted strings lose their
// quotes; one with an escape is cut off but not understood (`value` is empty): no address has one. Ports and IPv6
// addresses should be quoted and often are not, so tokens may hold ":[]" too.
bool CutValue(std::string_view& rest, std::string_view& value) {
  if (!rest.empty() && rest.front() == '"') {
    bool escaped = false;
    for (std::size_t i = 1; i < rest.size(); ++i) {
      if (rest[i] == '\\') {
        escaped = true;
        ++i;
      } else if (rest[i] == '"') {
        value = escaped ? std::string_view() : rest.substr(1, i - 1);
        rest.remove_prefix(i + 1);
        return true;
      }
    }
    return false;
  }
  std::size_t length = 0;
  while (length < rest.size() && IsTokenChar(rest[length])) ++length;
  value = rest.substr(0, length);
  rest.remove_prefix(length);
  return length > 0;
}

// The `for` of one forwarded-element ("for=192.0.2.1;proto=https"). Strict: elements are told apart by commas before
// quotes are looked at, and a piece of a quoted string that contained a comma must not pass for an element.
std::optional<Address> ForOf(std::string_view element) {
  std::optional<Address> found;
  bool first = true;
  while (!element.empty()) {
    if (!first) {
      if (element.front() != ';') return std::nullopt;
      element.remove_prefix(1);
      element = TrimBlank(element);
      if (element.empty()) break;
    }
    first = false;
    std::string_view name, value;
    if (element.front() == '"' || !CutValue(element, name)) return std::nullopt;
    if (element.empty() || element.front() != '=') return std::nullopt;
    element.remove_prefix(1);
    if (!CutValue(element, value)) return std::nullopt;
    element = TrimBlank(element);
    if (!EqualsIgnoringCase(name, "for")) continue;
    if (found) return std::nullopt;
    found = ParseAddress(value);
    if (!found) return std::nullopt;
  }
  return found;
}

std::optional<Address> PlainHop(std::string_view element) {
  if (element.size() >= 2 && element.front() == '"' && element.back() == '"') {
    element = element.substr(1, element.size() - 2);
  }
  return ParseAddress(element);
}

// Walks one list of hops from the right, as ClientAddress says.
Address Walk(const config::Snapshot& snapshot, const Request& request, std::string_view header, Address nearest,
             std::optional<Address> (*parse)(std::string_view)) {
  int hops = 0;
  for (std::size_t line = request.headers.size(); line-- > 0;) {
    if (!EqualsIgnoringCase(request.headers[line].name, header)) continue;
    std::string_view rest = request.headers[line].value;
    bool more = true;
    while (more) {
      const std::size_t comma = rest.rfind(',');
      more = comma != std::string_view::npos;
      const std::string_view element = TrimBlank(more ? rest.substr(comma + 1) : rest);
      if (more) rest = rest.substr(0, comma);
      if (element.empty()) continue;  // list syntax allows empty elements, and they say nothing
      if (++hops > kMostHops) return nearest;
      const std::optional<Address> hop = parse(element);
      if (!hop) return nearest;
      nearest = snapshot.Canonical(*hop);
      if (!snapshot.IsTrustedProxy(nearest)) return nearest;
    }
  }
  return nearest;
}

}  // namespace

std::string_view FindClient(const config::Snapshot& snapshot, const Request& request, std::optional<Address>& address) {
  address.reset();
  if (request.peer_ip.empty()) return {};
  address = ParseAddress(request.peer_ip);
  if (!address) return {};
  address = snapshot.Canonical(*address);
  if (!snapshot.IsTrustedProxy(*address)) {
    // Numbers have no leading zeros, so without a port there is one spelling only.
    const bool canonical = address->is_v4() && request.peer_ip.find(':') == std::string_view::npos;
    return canonical ? request.peer_ip : std::string_view();
  }
  const bool forwarded = snapshot.client_source() == config::Snapshot::ClientSource::kForwarded;
  address = forwarded ? Walk(snapshot, request, "forwarded", *address, ForOf)
                      : Walk(snapshot, request, snapshot.client_header(), *address, PlainHop);
  return {};
}

std::optional<Address> ClientAddress(const config::Snapshot& snapshot, const Request& request) {
  std::optional<Address> address;
  (void)FindClient(snapshot, request, address);
  return address;
}

std::optional<std::string_view> LeftmostForwardedFor(const Request& request) {
  const auto value = FindHeader(request, "x-forwarded-for");
  if (!value) return std::nullopt;
  return TrimBlank(value->substr(0, value->find(',')));
}

}  // namespace weir::engine
