// Where the keys of issuers come from. Fetching them is somebody else's work; here is when to fetch, and what to keep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "management/auth/jwks.h"
#include "weir/result.h"

namespace weir::management {

// Thread-safe.
class KeySource {
 public:
  virtual ~KeySource() = default;
  // The keys of that issuer, as far as they are known; never waits. `missing_id`: a token named a key that is not among
  // them, which may be a reason to fetch them again. kNotFound: no such issuer. kUnavailable: they were never fetched
  // yet; it is being done.
  virtual Result<std::shared_ptr<const JwkSet>> KeysOf(std::string_view issuer, bool missing_id, Nanos now) = 0;
};

// Keys that do not change: from the configuration, and for tests.
class FixedKeys final : public KeySource {
 public:
  FixedKeys(std::string issuer, JwkSet keys)
      : issuer_(std::move(issuer)), keys_(std::make_shared<const JwkSet>(std::move(keys))) {}
  Result<std::shared_ptr<const JwkSet>> KeysOf(std::string_view issuer, bool /*missing_id*/, Nanos /*now*/) override {
    if (issuer != issuer_) return Fail(ErrorCode::kNotFound, "there is no such issuer");
    return keys_;
  }

 private:
  const std::string issuer_;
  const std::shared_ptr<const JwkSet> keys_;
};

// Keys that are fetched from a URL: when they are asked for the first time, when they have become old, and when a token
// names a key that is not among them - then at most every `least_interval`, so that tokens with made-up key ids cannot
// make weir hammer the issuer. One fetch at a time for an issuer. When a fetch fails the previous keys stay.
class JwksCache final : public KeySource {
 public:
  struct Options {
    Nanos fresh = 15 * kMinute;           // then they are fetched again, while the previous ones go on to hold
    Nanos least_interval = 10 * kSecond;  // between two fetches, also failed ones
    Nanos longest = 24 * kHour;           // keys that could not be fetched again for so long hold no more; 0: for ever
  };
  // Starts to fetch `url`, and calls `done` with the document, on any thread, then or later; once.
  using Done = std::function<void(Result<std::string> document, Nanos now)>;
  using Fetch = std::function<void(const std::string& url, Done done)>;

  // `fetch` is called without locks, on the thread that asked for keys. What is still being fetched when this ends is
  // forgotten.
  JwksCache(Fetch fetch, Options options);

  // kInvalidArgument: the URL is not https (http is accepted for loopback addresses only).
  Result<> AddIssuer(std::string issuer, std::string url);
  Result<std::shared_ptr<const JwkSet>> KeysOf(std::string_view issuer, bool missing_id, Nanos now) override;

  struct Health {
    Nanos fetched_at = 0;  // 0: never
    std::uint64_t fetches = 0, failures = 0;
    std::string last_error{};  // of the latest fetch; empty: it succeeded
  };
  std::optional<Health> HealthOf(std::string_view issuer) const;

 private:
  struct Issuer {
    std::string url;
    std::shared_ptr<const JwkSet> keys;
    Health health;
    std::optional<Nanos> asked_at;
    bool fetching = false;
  };
  struct State {
    std::mutex mutex;
    std::unordered_map<std::string, Issuer> issuers;
  };
  static void Take(const std::shared_ptr<State>& state, const std::string& issuer, const Result<std::string>& document,
                   Nanos now);

  const Fetch fetch_;
  const Options options_;
  const std::shared_ptr<State> state_;  // answers may come after the end of this
};

// Whether a URL may be fetched for keys and tokens: https, without user and password; or http to a loopback address.
Result<> CheckIssuerUrl(std::string_view url);

}  // namespace weir::management
