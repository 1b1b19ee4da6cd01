#include "management/auth/key_source.h"

#include <algorithm>
#include <utility>

namespace weir::management {
namespace {

// Host of "scheme://host:port/path", with its brackets if it has some.
std::string_view AuthorityOf(std::string_view url) {
  url.remove_prefix(std::min(url.find("://") + 3, url.size()));
  return url.substr(0, url.find_first_of("/?#"));
}

bool IsLoopback(std::string_view authority) {
  if (authority.starts_with("[::1]")) return authority.size() == 5 || authority[5] == ':';
  const std::string_view host = authority.substr(0, authority.find(':'));
  return host == "localhost" || host == "127.0.0.1";
}

}  // namespace

Result<> CheckIssuerUrl(std::string_view url) {
  constexpr std::size_t kMostUrl = 2'048;
  const auto refused = [](const char* why) { return Fail(ErrorCode::kInvalidArgument, why); };
  if (url.size() > kMostUrl) return refused("the URL is longer than 2048 bytes");
  if (std::ranges::any_of(url, [](char c) { return c <= ' ' || c > '~' || c == '\\' || c == '"'; })) {
    return refused("the URL must be printable ASCII without spaces");
  }
  const std::string_view authority = AuthorityOf(url);
  if (authority.empty() || authority.starts_with(':')) return refused("the URL must name a host");
  if (authority.find('@') != std::string_view::npos) return refused("the URL must not contain a user or a password");
  if (url.starts_with("https://")) return {};
  if (url.starts_with("http://") && IsLoopback(authority)) return {};
  return refused("the URL must begin with https://");
}

JwksCache::JwksCache(Fetch fetch, Options options)
    : fetch_(std::move(fetch)), options_(options), state_(std::make_shared<State>()) {}

Result<> JwksCache::AddIssuer(std::string issuer, std::string url) {
  if (auto checked = CheckIssuerUrl(url); !checked) return checked;
  const std::lock_guard lock(state_->mutex);
  Issuer added;
  added.url = std::move(url);
  state_->issuers.insert_or_assign(std::move(issuer), std::move(added));
  return {};
}

Result<std::shared_ptr<const JwkSet>> JwksCache::KeysOf(std::string_view issuer, bool missing_id, Nanos now) {
  std::string url;
  Result<std::shared_ptr<const JwkSet>> answer;
  std::shared_ptr<const JwkSet> before;
  const std::string name(issuer);
  {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->issuers.find(name);
    if (found == state_->issuers.end()) return Fail(ErrorCode::kNotFound, "there is no such issuer");
    Issuer& one = found->second;
    before = one.keys;
    // A clock that was set back must not keep keys for ever, nor stop the fetching.
    if (one.asked_at && now < *one.asked_at) one.asked_at.reset();
    if (now < one.health.fetched_at) one.health.fetched_at = now;
    const bool old = one.keys == nullptr || now - one.health.fetched_at >= options_.fresh;
    const bool paced = !one.asked_at || now - *one.asked_at >= options_.least_interval;
    if ((old || missing_id) && paced && !one.fetching) {
      one.fetching = true;
      one.asked_at = now;
      ++one.health.fetches;
      url = one.url;
    }
    const bool outdated = options_.longest != 0 && now - one.health.fetched_at >= options_.longest;
    if (one.keys == nullptr || outdated) {
      answer = Fail(ErrorCode::kUnavailable, "the keys of the issuer could not be fetched yet");
    } else {
      answer = one.keys;
    }
  }
  if (url.empty()) return answer;
  fetch_(url,
         [state = state_, name](const Result<std::string>& document, Nanos at) { Take(state, name, document, at); });
  // They may be there already.
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->issuers.find(name);
  if (found != state_->issuers.end() && found->second.keys != before) return found->second.keys;
  return answer;
}

void JwksCache::Take(const std::shared_ptr<State>& state, const std::string& issuer,
                     const Result<std::string>& document, Nanos now) {
  auto keys = document ? JwkSet::Parse(*document) : std::unexpected(document.error());
  const std::lock_guard lock(state->mutex);
  const auto found = state->issuers.find(issuer);
  if (found == state->issuers.end()) return;
  Issuer& one = found->second;
  one.fetching = false;
  if (keys) {
    one.keys = std::make_shared<const JwkSet>(std::move(*keys));
    one.health.fetched_at = now;
    one.health.last_error.clear();
  } else {
    ++one.health.failures;
    one.health.last_error = keys.error().message;
  }
}

std::optional<JwksCache::Health> JwksCache::HealthOf(std::string_view issuer) const {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->issuers.find(std::string(issuer));
  if (found == state_->issuers.end()) return std::nullopt;
  return found->second.health;
}

}  // namespace weir::management
