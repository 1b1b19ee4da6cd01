// How the keys of issuers come here: over HTTPS, for JwksCache.
#pragma once

#include "base/clock.h"
#include "io/https/http_fetcher.h"
#include "management/auth/key_source.h"

namespace weir::management {

// What such a fetcher allows: 10 s and 512 KiB an answer; no addresses but public ones and `allowed` (a provider of
// one's own network), whatever name leads there. `ca_file`: PEM, empty: the machine's authorities.
io::HttpOptions KeyFetchOptions(std::string ca_file, std::vector<Network> allowed);

// Asks by `fetcher`, which outlives the cache. Only 200 is an answer; a redirect is refused, since the URL that the
// operator wrote is the one that was checked. An http:// URL, which JwksCache takes for loopback addresses only, may
// lead there.
JwksCache::Fetch FetchKeysBy(io::HttpFetcher& fetcher, const Clock& clock);

}  // namespace weir::management
