// What is being limited: the attributes of one request. Everything is borrowed: what it points to must live until the
// call that it is given to has completed.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace weir {

struct Attribute {
  std::string_view name{};
  std::string_view value{};
};

// An empty field means: not known.
struct Request {
  std::string_view domain{};
  std::string_view peer_ip{};  // the address of the connection, textual ("192.0.2.1", "2001:db8::1", "[::1]:80").
                               // Forwarding headers are believed only when it is in trusted_proxies
  std::string_view user{};
  std::string_view tenant{};
  std::string_view tier{};
  std::string_view api_key{};
  std::string_view country{};               // ISO 3166-1 alpha-2
  std::string_view method{};                // "GET"
  std::string_view path{};                  // may carry a query: everything from '?' on
  std::span<const Attribute> headers{};     // names compare without case; repeated names in order
  std::span<const Attribute> attributes{};  // free descriptors
  std::uint64_t cost = 1;                   // 0 peeks
  // Names this check or reservation, so that it can be asked for again when its answer was lost: an ask with the same
  // id, counted by the same rules for the same subjects at the same cost, gets the answer of the first one that was
  // allowed (Decision::repeated) and charges nothing, for request_ids.ttl_seconds. A denial charges nothing and is not
  // remembered: asked again, it is decided again. Any bytes. The caller chooses it, never the client that is limited:
  // one that repeats an id is not counted. Empty: none.
  std::string_view request_id{};
};

}  // namespace weir
