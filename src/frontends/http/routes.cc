#include "frontends/http/routes.h"

#include <array>

namespace weir::http {
namespace {

constexpr std::array<Route, 15> kRoutes = {{
    {"/v1/check", Endpoint::kCheck, Methods::kPost, kServeCheck, "check"},
    {"/v1/auth", Endpoint::kAuth, Methods::kAny, kServeAuth, "auth"},
    {"/v1/check/batch", Endpoint::kBatch, Methods::kPost, kServeBatch, "batch"},
    {"/v1/peek", Endpoint::kPeek, Methods::kPost, kServePeek, "peek"},
    {"/v1/reserve", Endpoint::kReserve, Methods::kPost, kServeReserve, "reserve"},
    {"/v1/commit", Endpoint::kCommit, Methods::kPost, kServeReserve, "reserve"},
    {"/v1/cancel", Endpoint::kCancel, Methods::kPost, kServeReserve, "reserve"},
    {"/v1/extend", Endpoint::kExtend, Methods::kPost, kServeReserve, "reserve"},
    {"/v1/refund", Endpoint::kRefund, Methods::kPost, kServeRefund, "refund"},
    {"/v1/reset", Endpoint::kReset, Methods::kPost, kServeReset, "reset"},
    {"/v1/feedback", Endpoint::kFeedback, Methods::kPost, kServeFeedback, "feedback"},
    {"/livez", Endpoint::kLive, Methods::kGet, 0, ""},
    {"/readyz", Endpoint::kReady, Methods::kGet, 0, ""},
    {"/metrics", Endpoint::kMetrics, Methods::kGet, kServeMetrics, "metrics"},
    {"/", Endpoint::kRoot, Methods::kGet, 0, ""},
}};

}  // namespace

const Route* FindRoute(std::string_view path) {
  for (const Route& route : kRoutes) {
    if (route.path == path) return &route;
  }
  return nullptr;
}

bool Allows(Methods methods, std::string_view method) {
  switch (methods) {
    case Methods::kPost:
      return method == "POST";
    case Methods::kGet:
      return method == "GET" || method == "HEAD";
    case Methods::kAny:
      return method != "CONNECT" && method != "TRACE";
  }
  return false;
}

std::string_view AllowedMethods(Methods methods) {
  switch (methods) {
    case Methods::kPost:
      return "POST";
    case Methods::kGet:
      return "GET, HEAD";
    case Methods::kAny:
      return "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
  }
  return "";
}

}  // namespace weir::http
