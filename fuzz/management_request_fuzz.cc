// What a client of the management API may write where: paths, entity tags, cursors, times, bodies of records.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "management/rest/api.h"
#include "management/rest/collections.h"
#include "management/rest/cursor.h"
#include "management/rest/etag.h"
#include "management/rest/handlers.h"
#include "management/rest/record_body.h"
#include "management/rest/route.h"

namespace {

using namespace weir::management::rest;  // NOLINT(google-build-using-namespace)

const weir::EnterpriseRateLimitConfig& Policy() {
  static const weir::EnterpriseRateLimitConfig policy =
      weir::ParseConfig("global: {free_tier: {max_requests: 2, window_seconds: 60}}").config;
  return policy;
}

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const RouteTable routes(AllRoutes());
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.empty()) return 0;
  const std::string_view rest = text.substr(1);

  const RouteTable::Match match = routes.Find("GET", "/admin/v1/" + std::string(rest));
  if (match.route != nullptr) Require(match.route->method == "GET");
  std::string decoded;
  if (DecodeSegment(rest, &decoded)) Require(!decoded.empty() && decoded.size() <= rest.size());

  (void)ParseTags(rest);
  if (const auto time = ParseTimestamp(rest)) Require(ParseTimestamp(TimestampText(*time)) == time);
  static const CursorSigner signer(std::string(32, 'k'));
  Require(!signer.Open("list", rest));
  Require(*signer.Open("list", signer.Sign("list", rest.substr(0, 512))) == rest.substr(0, 512));
  (void)ReadObject(rest, {"reason"});

  const auto collections = Collections();
  const Collection& collection = collections[static_cast<std::size_t>(data[0]) % collections.size()];
  const weir::config::Surroundings around{.policy = Policy(),
                                          .tenant = [](const std::string&) { return std::nullopt; },
                                          .user = [](const std::string&) { return std::nullopt; }};
  const auto body = ReadRecordBody(
      collection, collection.kind == "api_keys" ? "sha256:00000000000000000000000000000000" : "name", rest, around);
  if (body) {
    // What was accepted is accepted again as it is written.
    Require(ReadRecordBody(collection,
                           collection.kind == "api_keys" ? "sha256:00000000000000000000000000000000" : "name",
                           WriteRecordBody(*body), around)
                .has_value());
  } else {
    Require(!body.error().empty());
  }
  return 0;
}
