#include "frontends/http/browser.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"

namespace weir::http {
namespace {

// "http://host:port" is of "host:port"; the scheme's own port may be written or not.
bool IsOfHost(std::string_view origin, std::string_view host) {
  const std::size_t colon = origin.find("://");
  if (colon == std::string_view::npos) return false;
  const std::string_view scheme = origin.substr(0, colon);
  const std::string_view authority = origin.substr(colon + 3);
  const std::string_view port = EqualsIgnoreCase(scheme, "https") ? ":443" : ":80";
  const auto strip = [port](std::string_view text) {
    return text.ends_with(port) ? text.substr(0, text.size() - port.size()) : text;
  };
  return !authority.empty() && EqualsIgnoreCase(strip(authority), strip(host));
}

// Without its parameters.
std::string_view MediaType(std::string_view value) {
  value = value.substr(0, value.find(';'));
  while (value.ends_with(' ') || value.ends_with('\t')) value.remove_suffix(1);
  return value;
}

bool IsSimple(std::string_view content_type) {
  constexpr std::array<std::string_view, 3> kSimple = {"text/plain", "multipart/form-data",
                                                       "application/x-www-form-urlencoded"};
  const std::string_view type = MediaType(content_type);
  return type.empty() ||
         std::ranges::any_of(kSimple, [type](std::string_view simple) { return EqualsIgnoreCase(type, simple); });
}

}  // namespace

std::string_view WhyForeign(const RequestHead& head) {
  std::string_view host, content_type;
  bool from_browser = false;
  for (const Attribute& header : head.headers) {
    if (EqualsIgnoreCase(header.name, "host")) host = header.value;
    if (EqualsIgnoreCase(header.name, "content-type")) content_type = header.value;
  }
  for (const Attribute& header : head.headers) {
    if (EqualsIgnoreCase(header.name, "origin")) {
      from_browser = true;
      if (!IsOfHost(header.value, host)) return "the Origin is another site: pages of other sites are not answered";
    } else if (EqualsIgnoreCase(header.name, "sec-fetch-site")) {
      from_browser = true;
      if (!EqualsIgnoreCase(header.value, "same-origin") && !EqualsIgnoreCase(header.value, "none")) {
        return "Sec-Fetch-Site is of another site: pages of other sites are not answered";
      }
    }
  }
  if (from_browser && head.method == "POST" && IsSimple(content_type)) {
    return "a browser has to send content-type: application/json";
  }
  return {};
}

}  // namespace weir::http
