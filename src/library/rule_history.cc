#include "library/rule_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>
#include <utility>

#include "algorithms/instant.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "config/compile/compile_rules.h"

namespace weir::library {
namespace {

constexpr std::string_view kHead = "weirRULES 1 ";
constexpr std::size_t kChecksumDigits = 16;
constexpr std::size_t kMostBytes = std::size_t{64} << 20;
constexpr std::size_t kMostRevisions = static_cast<std::size_t>(config::kMostPrevious) + 1;

// The document as far as it decides what is counted, as JSON.
std::string TextOf(const EnterpriseRateLimitConfig& config) {
  EnterpriseRateLimitConfig copy = config;
  const EnterpriseRateLimitConfig plain;
  copy.storage = plain.storage;
  copy.server = plain.server;
  copy.analytics = plain.analytics;
  // Whether there is a key decides whether a claim may identify; which it is does not.
  if (copy.jwt.hs256_secret) copy.jwt.hs256_secret = "left out";
  return ToJson(copy);
}

Nanos LongestState(const EnterpriseRateLimitConfig& config, const config::Snapshot& snapshot) {
  // Their rules are not looked at one by one: there may be millions.
  if (!config.users.empty() || !config.tenants.empty()) return algorithms::kLongestWindow;
  Nanos longest = 0;
  for (const config::Rule& rule : snapshot.rules()) {
    if (!rule.unlimited) longest = std::max(longest, config::StateLifetime(rule.limit));
    if (rule.penalty != nullptr) longest = std::max(longest, config::StateLifetime(*rule.penalty));
  }
  return longest;
}

template <typename Number>
std::optional<Number> TakeNumber(std::string_view& text, char end) {
  Number value{};
  const auto [stop, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc{} || stop == text.data() + text.size() || *stop != end) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()) + 1);
  return value;
}

std::string ChecksumOf(std::string_view body) { return fmt::format("{:016x}", Hash64(body)); }

std::unexpected<Error> Damaged() { return Fail(ErrorCode::kDataLoss, "it is damaged"); }

}  // namespace

Result<> RuleHistory::Read() {
  auto whole = ReadRegularFile(path_, kMostBytes + 4096);
  if (!whole) return std::unexpected(whole.error());
  std::string_view text = *whole;
  if (text.size() > kMostBytes + 4096 || !text.starts_with(kHead)) return Damaged();
  text.remove_prefix(kHead.size());
  if (text.size() <= kChecksumDigits || text[kChecksumDigits] != '\n') return Damaged();
  const std::string_view checksum = text.substr(0, kChecksumDigits);
  text.remove_prefix(kChecksumDigits + 1);
  if (checksum != ChecksumOf(text)) return Damaged();
  std::vector<Revision> revisions;
  while (!text.empty()) {
    const auto since = TakeNumber<Nanos>(text, ' ');
    const auto longest = since ? TakeNumber<Nanos>(text, ' ') : std::nullopt;
    const auto bytes = longest ? TakeNumber<std::size_t>(text, '\n') : std::nullopt;
    if (!bytes || *bytes >= text.size() || revisions.size() == kMostRevisions) return Damaged();
    revisions.push_back({.document = std::string(text.substr(0, *bytes)),
                         .since = algorithms::ClampNow(*since),
                         .longest = std::clamp<Nanos>(*longest, 0, INT64_MAX)});
    text.remove_prefix(*bytes + 1);
  }
  revisions_ = std::move(revisions);
  return {};
}

void RuleHistory::Load() {
  const std::lock_guard lock(mutex_);
  const Result<> read = Read();
  if (read || read.error().code == ErrorCode::kNotFound) return;
  if (read.error().code == ErrorCode::kDataLoss) (void)std::rename(path_.c_str(), (path_ + ".damaged").c_str());
  log::Warn("former rules not known: subjects of rules that were changed before the restart start fresh",
            {{"path", path_}, {"reason", read.error().message}});
}

std::shared_ptr<const config::Snapshot> RuleHistory::Follow(const EnterpriseRateLimitConfig& config,
                                                            std::span<const std::string> extractors, Nanos& now) {
  const std::lock_guard lock(mutex_);
  Trim(now);
  // The same again begins when it began: what it followed is forgotten no later for a restart.
  if (!revisions_.empty() && revisions_.back().document == TextOf(config)) {
    now = std::min(now, revisions_.back().since);
    revisions_.pop_back();
  }
  std::shared_ptr<const config::Snapshot> latest;
  for (const Revision& revision : revisions_) {
    ParsedConfig parsed = ParseConfig(revision.document);
    auto compiled = parsed.ok() ? config::Snapshot::Compile(parsed.config, latest.get(), revision.since, extractors)
                                : Fail(ErrorCode::kInvalidArgument, "this version does not read it");
    if (compiled) {
      latest = std::move(*compiled);
    } else {
      // Of another version of weir, or with extractors that are gone.
      log::Warn("a former document is not followed", {{"path", path_}, {"reason", compiled.error().message}});
    }
  }
  return latest;
}

void RuleHistory::Trim(Nanos now) {
  // Until when the states of a document live: it was replaced by the next one.
  std::size_t gone = 0;
  for (std::size_t i = 0; i + 1 < revisions_.size(); ++i) {
    if (algorithms::SaturatingAdd(revisions_[i + 1].since, revisions_[i].longest) < now) gone = i + 1;
  }
  std::size_t bytes = 0;
  std::size_t kept = 0;
  while (kept < revisions_.size() - gone && kept < kMostRevisions) {
    bytes += revisions_[revisions_.size() - 1 - kept].document.size() + 64;
    if (bytes > kMostBytes) break;
    ++kept;
  }
  revisions_.erase(revisions_.begin(), revisions_.end() - static_cast<std::ptrdiff_t>(kept));
}

std::string RuleHistory::Text() const {
  std::string body;
  for (const Revision& revision : revisions_) {
    body +=
        fmt::format("{} {} {}\n{}\n", revision.since, revision.longest, revision.document.size(), revision.document);
  }
  return fmt::format("{}{}\n{}", kHead, ChecksumOf(body), body);
}

void RuleHistory::Add(const EnterpriseRateLimitConfig& config, const config::Snapshot& snapshot, Nanos now) {
  std::string document = TextOf(config);
  const std::lock_guard lock(mutex_);
  const bool same = !revisions_.empty() && revisions_.back().document == document;
  if (!same) {
    revisions_.push_back({.document = std::move(document), .since = now, .longest = LongestState(config, snapshot)});
  }
  Trim(now);
  if (const Result<> saved = ReplaceFile(path_, Text()); !saved) {
    log::Error("former rules not saved", {{"path", path_}, {"reason", saved.error().message}});
  }
}

}  // namespace weir::library
