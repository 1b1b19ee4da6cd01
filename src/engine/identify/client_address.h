// Who sent a request: the address of the connection, or, when that is a trusted proxy, what the proxies say.
#pragma once

#include <optional>
#include <string_view>

#include "base/address.h"
#include "config/snapshot/snapshot.h"
#include "weir/request.h"

namespace weir::engine {

// The peer, unless it is in trusted_proxies. Then the hops that the header of ip_rules.client_address lists (by default
// X-Forwarded-For) are walked from the right
// (repeated lines count as one, in order) for as long as they are trusted proxies too; the first one that is not is the
// client. When all are trusted it is the left-most. A hop that is no address ends the walk at the last trusted one
// before it. No other header is read: a proxy that writes the one passes on whatever a client wrote into the others. At
// most 64 hops are walked. An address that stands for an IPv4 one is that (Snapshot::Canonical).
// nullopt: the peer is unknown (no address, a Unix socket). Not truncated. Allocates nothing.
std::optional<Address> ClientAddress(const config::Snapshot& snapshot, const Request& request);

// The same in `address`. Returns its canonical text when the request client_limit it just so (IPv4 without a port, from
// the peer itself), otherwise nothing. Spares formatting what was just read, for the most frequent kind of subject.
std::string_view FindClient(const config::Snapshot& snapshot, const Request& request, std::optional<Address>& address);

// The left-most entry of the first X-Forwarded-For line, trimmed, as text that a client may have written freely;
// nullopt when there is no such header.
std::optional<std::string_view> LeftmostForwardedFor(const Request& request);

}  // namespace weir::engine
