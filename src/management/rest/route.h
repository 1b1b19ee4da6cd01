// The routes of the management API: one table from which requests are dispatched, permissions are decided and OpenAPI
// is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "management/auth/permissions.h"
#include "management/rest/message.h"
#include "management/rest/problem.h"

namespace weir::management::rest {

class Api;
struct Context;
struct Collection;  // collections.h

using Answer = std::expected<ApiResponse, Problem>;
using Handler = Answer (*)(Api&, Context&);

enum class BodyKind : std::uint8_t { kNone, kJson, kMergePatch, kDocument /* JSON or YAML */, kNdjsonOrJson, kForm };

// How far the router decides whether the principal may. kWhole: the permission must hold everywhere. kWithin: it is
// enough to have it within some tenant; the handler asks for each object (Context::Authorise). kAny: every principal.
// kPublic: also who brings no credentials.
enum class Scope : std::uint8_t { kWhole, kWithin, kAny, kPublic };

struct Parameter {
  std::string name;
  std::string description;
};

struct Route {
  std::string method;     // "GET"; HEAD goes where GET does
  std::string path;       // "/users/{name}", below /admin/v1
  std::string operation;  // "getUser"
  std::string summary = {};
  Verb verb = Verb::kRead;
  Resource resource = Resource::kConfig;
  Handler handler = nullptr;
  Scope scope = Scope::kWhole;
  BodyKind body = BodyKind::kNone;
  std::size_t max_body = 0;
  std::string request_schema = {};   // in components.schemas
  std::string response_schema = {};  // "": any JSON
  std::vector<Parameter> query = {};
  int success = 200;
  bool conditional = false;  // heeds If-Match
  bool idempotent = false;   // heeds Idempotency-Key
  bool heavy = false;        // may take long: on threads of its own
  bool sensitive = false;    // reads are audited too
  bool asks_only = false;    // a POST that changes nothing
  bool cross_site = false;   // a browser may be sent here by another site, which may add parameters of its own
  const Collection* collection = nullptr;

  bool writes() const { return method != "GET" && !asks_only; }
};

inline constexpr std::string_view kPrefix = "/admin/v1";

class RouteTable {
 public:
  explicit RouteTable(std::vector<Route> routes);

  struct Match {
    const Route* route = nullptr;           // nullptr: no such path, or not for this method
    std::vector<std::string> parameters{};  // decoded, in the order of the path
    std::string allow{};                    // of the path, when it is there: "GET, HEAD, PUT, OPTIONS"
  };
  // `path`: as sent, with its prefix. A literal segment goes before a parameter.
  Match Find(std::string_view method, std::string_view path) const;
  std::span<const Route> routes() const { return routes_; }

 private:
  struct Segments {
    std::vector<std::string> parts;  // "{...}": a parameter
  };
  const std::vector<Route> routes_;
  std::vector<Segments> segments_;
};

// One segment of a path, percent-decoded. False: malformed, not UTF-8, or with control characters.
bool DecodeSegment(std::string_view raw, std::string* decoded);

}  // namespace weir::management::rest
