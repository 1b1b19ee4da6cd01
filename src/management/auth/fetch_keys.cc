#include "management/auth/fetch_keys.h"

#include <utility>

namespace weir::management {

io::HttpOptions KeyFetchOptions(std::string ca_file, std::vector<Network> allowed) {
  io::HttpOptions options;
  options.timeout = 10 * kSecond;
  options.most_bytes = 512U << 10U;
  options.plaintext = true;  // CheckIssuerUrl() says for what
  options.ca_file = std::move(ca_file);
  options.reach = io::HttpOptions::Reach::kPublic;
  options.allowed = std::move(allowed);
  return options;
}

JwksCache::Fetch FetchKeysBy(io::HttpFetcher& fetcher, const Clock& clock) {
  return [&fetcher, &clock](const std::string& url, JwksCache::Done done) {
    io::HttpRequest request{.url = url, .headers = {{"Accept", "application/jwk-set+json, application/json"}}};
    request.may_be_loopback = url.starts_with("http://");
    fetcher.Send(std::move(request), [&clock, done = std::move(done)](Result<io::HttpReply> reply) {
      const Nanos now = clock.Wall();
      if (!reply) return done(std::unexpected(reply.error()), now);
      if (reply->status != 200) {
        const bool redirect = reply->status >= 300 && reply->status < 400;
        return done(Fail(ErrorCode::kUnavailable, "the issuer answered " + std::to_string(reply->status) +
                                                      (redirect ? ": redirects are not followed" : "")),
                    now);
      }
      done(std::move(reply->body), now);
    });
  };
}

}  // namespace weir::management
