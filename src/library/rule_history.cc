#include "library/rule_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>
#include <unordered_map>
#include <utility>

#include "algorithms/instant.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "config/compile/compile_rules.h"
#include "config/snapshot/key_name.h"

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
  copy.api_keys.clear();
  for (const auto& [name, limits] : config.api_keys) {
    if (const auto digest = config::DigestOfKeyName(name)) {
      copy.api_keys.emplace(config::KeyNameOfDigest(*digest), limits);
    }
  }
  return ToJson(copy);
}

Nanos LongestState(const config::Snapshot& snapshot) {
  // Their rules are not looked at one by one: there may be millions.
  if (snapshot.user_count() + snapshot.tenant_count() + snapshot.api_key_count() > 0) return algorithms::kLongestWindow;
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
  entities_ = journal_.Load();
  const Result<> read = Read();
  if (read || read.error().code == ErrorCode::kNotFound) return;
  if (read.error().code == ErrorCode::kDataLoss) (void)std::rename(path_.c_str(), (path_ + ".damaged").c_str());
  log::Warn("previous rules not known: subjects of rules that were changed before the restart start fresh",
            {{"path", path_}, {"reason", read.error().message}});
}

// Makes one snapshot after the other, of documents and of what was applied to entities in between.
class RuleHistory::Replay {
 public:
  Replay(const std::string& path, std::span<const std::string> extractors, std::span<const EntityRecord> entities)
      : path_(path), extractors_(extractors), entities_(entities) {}

  void Document(const Result<EnterpriseRateLimitConfig>& document, Nanos since) {
    EntitiesUntil(since);
    auto compiled = document ? config::Snapshot::Compile(*document, latest_.get(), since, extractors_)
                             : std::unexpected(document.error());
    if (compiled) {
      latest_ = std::move(*compiled);
    } else {
      // Of another version of weir, or with extractors that are gone.
      log::Warn("a previous document is not followed",
                {{"path", std::string(path_)}, {"reason", compiled.error().message}});
    }
  }

  std::shared_ptr<const config::Snapshot> Finish() {
    EntitiesUntil(INT64_MAX);
    return std::move(latest_);
  }

 private:
  // Those that came before a document. One form of every entity at a time: each waits only for what it follows, so that
  // a million of them are a few changes. Tenants are what users inherit from, and are taken in their order.
  void EntitiesUntil(Nanos until) {
    if (latest_ == nullptr) return;
    const auto end = std::ranges::find_if(entities_, [until](const EntityRecord& one) { return one.at >= until; });
    std::span<const EntityRecord> some = entities_.first(static_cast<std::size_t>(end - entities_.begin()));
    entities_ = entities_.subspan(some.size());
    const auto is_tenant = [](const EntityRecord& one) {
      return one.change.kind == config::EntityChange::Kind::kTenant;
    };
    while (!some.empty()) {
      const auto tenant = std::ranges::find_if(some, is_tenant);
      const auto others = static_cast<std::size_t>(tenant - some.begin());
      InForms(some.first(others));
      some = some.subspan(others);
      // Those that come one after another.
      const auto other = std::ranges::find_if_not(some, is_tenant);
      const auto tenants = static_cast<std::size_t>(other - some.begin());
      InForms(some.first(tenants));
      some = some.subspan(tenants);
    }
  }

  void InForms(std::span<const EntityRecord> records) {
    std::unordered_map<std::string, std::size_t> forms;
    std::vector<std::vector<const EntityRecord*>> rounds;
    for (const EntityRecord& record : records) {
      const std::size_t form = forms[fmt::format("{} {}", static_cast<int>(record.change.kind), record.change.name)]++;
      if (form == rounds.size()) rounds.emplace_back();
      rounds[form].push_back(&record);
    }
    for (const auto& round : rounds) Apply(round);
  }

  void Apply(std::span<const EntityRecord* const> records) {
    std::vector<config::EntityChange> changes;
    changes.reserve(records.size());
    for (const EntityRecord* const record : records) changes.push_back(record->change);
    const Nanos at = records.back()->at;
    // Forms of several tenants that never held together may be applied at once here: whether they make a tree is asked
    // of what comes of all.
    constexpr auto kLater = config::TreeCheck::kLater;
    if (auto changed = latest_->With(changes, at, extractors_, kLater)) {
      latest_ = std::move(*changed);
      return;
    }
    // One of them does not go with the policy any more: the others do.
    std::size_t refused = 0;
    for (const config::EntityChange& change : changes) {
      if (auto changed = latest_->With({&change, 1}, at, extractors_, kLater)) {
        latest_ = std::move(*changed);
      } else {
        ++refused;
      }
    }
    log::Warn("entities that were applied are not followed: the document does not allow them any more",
              {{"path", std::string(path_)}, {"entities", std::to_string(refused)}});
  }

  const std::string& path_;
  const std::span<const std::string> extractors_;
  std::span<const EntityRecord> entities_;
  std::shared_ptr<const config::Snapshot> latest_;
};

std::shared_ptr<const config::Snapshot> RuleHistory::Follow(const EnterpriseRateLimitConfig& config,
                                                            std::span<const std::string> extractors, Nanos& now) {
  const std::lock_guard lock(mutex_);
  // A change of an entity writes no documents: what the file says may be from before the first of them.
  if (!entities_.empty()) {
    for (Revision& revision : revisions_) revision.longest = algorithms::kLongestWindow;
  }
  Trim(now);
  // The same again begins when it began: what it followed is forgotten no later for a restart.
  const bool same = !revisions_.empty() && revisions_.back().document == TextOf(config);
  if (same) {
    now = std::min(now, revisions_.back().since);
    revisions_.pop_back();
  }
  const std::vector<EntityRecord> entities = std::exchange(entities_, {});
  Replay replay(path_, extractors, entities);
  for (const Revision& revision : revisions_) {
    ParsedConfig parsed = ParseConfig(revision.document);
    replay.Document(parsed.ok() ? Result<EnterpriseRateLimitConfig>(std::move(parsed.config))
                                : Fail(ErrorCode::kInvalidArgument, "this version does not read it"),
                    revision.since);
  }
  // What was applied under the document itself goes on under it.
  if (!entities.empty() && (same || revisions_.empty())) replay.Document(config, now);
  return replay.Finish();
}

void RuleHistory::AddEntities(std::span<const config::EntityChange> changes, const config::Snapshot& after, Nanos now) {
  const std::lock_guard lock(mutex_);
  // Their windows are not looked at one by one, and may be as long as any.
  if (!revisions_.empty()) revisions_.back().longest = algorithms::kLongestWindow;
  journal_.Append(changes, after, now);
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
    revisions_.push_back({.document = std::move(document), .since = now, .longest = LongestState(snapshot)});
  }
  Trim(now);
  if (const Result<> saved = ReplaceFile(path_, Text()); !saved) {
    log::Error("previous rules not saved", {{"path", path_}, {"reason", saved.error().message}});
  }
}

}  // namespace weir::library
