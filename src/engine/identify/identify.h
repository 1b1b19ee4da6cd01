// Who a rule counts in a request: an identifier and a request give one or more subjects.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/arena.h"
#include "base/hash.h"
#include "config/snapshot/snapshot.h"
#include "engine/identify/extractors.h"
#include "engine/identify/subject.h"
#include "engine/resolve/resolve.h"
#include "weir/request.h"
#include "weir/result.h"

namespace weir::engine {

inline constexpr std::size_t kMostSubjects = config::kMostSubjectsOfRule;

// The subjects that one rule counts in one request; none: the rule does not apply.
struct Subjects {
  std::array<std::string_view, kMostSubjects> texts;
  std::uint32_t count = 0;
  bool too_many = false;               // than fit
  std::optional<std::uint64_t> quota;  // replaces the rule's limit for this request

  std::span<const std::string_view> all() const { return {texts.data(), count}; }
};

// Finds the subjects of one request; made for it and dropped with it. Texts borrow from the request, the arena or
// static text, and are at most kShortenedSubject long. Not thread-safe.
//
//   ip_address   the client (client_address.h), cut to the snapshot's prefixes; none when unknown. use_forwarded
//   without
//                trusted_proxies: the left-most X-Forwarded-For when it is an address, else the peer
//   user_id      request.user; fallback_to_ip: else the address. Then texts are "user:..." and "ip:...", so that a
//                user who is named like an address is still somebody else
//   api_key      request.api_key, when it starts with key_prefix. quota_field: the attribute of that name, a decimal
//                number, becomes the limit; attributes come from the gateway that asks, never from its client
//   tenant_id    the tenant that resolve found
//   global       "*"
//   custom       what the extractor finds, both when it finds two (extractors.h). When its script fails: "!failed", and
//                when it finds too many: "!ambiguous", one subject for all such requests
//   combine      "LENGTH:PRIMARY|SECONDARY", LENGTH that of the primary: no two pairs give the same text
//   first_available   "1:..." or "2:...", by which one was there
//   descriptor   "LENGTH:KEY=LENGTH:VALUE" for each entry of the request, joined by ','; a pattern that shares its
//   counter
//                stands for the value. Of a limit that the client brings, its numbers come before them
//   strictest    both parts, each by itself, as "1:..." and "2:..."; one alone when the other is absent
class Identify {
 public:
  // `tenant`, `ancestors`: of the Resolution, which outlives it. `hashed`: what the request's subject probably is, when
  // that was hashed already.
  Identify(const config::Snapshot& snapshot, const Extractors& extractors, const Request& request, const Facts& facts,
           std::string_view tenant, std::span<const Resolution::Ancestor> ancestors, Arena& arena,
           const HashedSubject& hashed = {})
      : snapshot_(snapshot),
        extractors_(extractors),
        request_(request),
        facts_(facts),
        tenant_(tenant),
        ancestors_(ancestors),
        arena_(arena),
        hashed_(hashed) {}

  // Whom a rule with on_missing ip counts when its identifier finds nothing: "!ip:ADDRESS", or "!ip:unknown" for all
  // requests without an address. No identifier finds such a text: what begins with '!' in a request gets another one.
  std::string_view FindInstead();
  // The one subject of a rule whose identifier IsSimple; no data: none.
  std::string_view FindSimple(const config::Rule& rule) {
    const config::Identifier& identifier = rule.identifier;
    switch (identifier.kind) {
      case config::Identifier::Kind::kUser:
        return Bounded(facts_.user);
      case config::Identifier::Kind::kApiKey:
        return facts_.api_key.starts_with(identifier.key_prefix) ? Bounded(facts_.api_key) : std::string_view();
      case config::Identifier::Kind::kTenant:
        return Bounded(TenantOf(rule));
      case config::Identifier::Kind::kIp:
        return ClientText().value_or(std::string_view());
      default:
        return "*";
    }
  }
  // The hash of a subject that was found here.
  const SubjectHash& HashOf(std::string_view subject) {
    const bool known = hashed_.text.data() != nullptr && subject.data() == hashed_.text.data();
    if (!known || subject.size() != hashed_.text.size()) {
      hashed_ = {.text = subject, .hash = HashSubject(subject)};
    }
    return hashed_.hash;
  }
  // `client_limit`: the client's limit, in whose name the rule stands; else nullptr.
  Subjects Find(const config::Rule& rule, const algorithms::Limit* client_limit) {
    path_ = rule.descriptor;
    client_limit_ = client_limit;
    counted_tenant_ = TenantOf(rule);
    return Find(rule.identifier);
  }

 private:
  Subjects Find(const config::Identifier& identifier);
  // Whom a tenant_id identifier of the rule counts.
  std::string_view TenantOf(const config::Rule& rule) const {
    for (const Resolution::Ancestor& ancestor : ancestors_) {
      if (&rule >= ancestor.rules.data() && &rule < ancestor.rules.data() + ancestor.rules.size()) {
        return ancestor.tenant;
      }
    }
    return tenant_;
  }
  std::string_view Bounded(std::string_view text) {
    return text.empty() ? std::string_view() : BoundSubject(Escaped(text), arena_);
  }
  std::string_view Escaped(std::string_view text) {
    if (text.empty() || text.front() != '!') [[likely]]
      return text;
    return arena_.Join({"!", text});
  }
  void Add(const config::Identifier& identifier, Subjects& to);
  void AddUser(const config::Identifier& identifier, Subjects& to);
  void AddApiKey(const config::Identifier& identifier, Subjects& to);
  void AddExtracted(const config::Identifier& identifier, Subjects& to);
  void AddDescriptor(Subjects& to);
  void AddContained(Subjects& to);
  void AddCombined(const config::Identifier& identifier, Subjects& to);
  bool AddTagged(std::string_view tag, const config::Identifier& identifier, Subjects& to);
  std::optional<std::string_view> ClientText();
  std::optional<std::string_view> ForwardedText();

  const config::Snapshot& snapshot_;
  const Extractors& extractors_;
  const Request& request_;
  const Facts& facts_;
  std::string_view tenant_;
  std::span<const Resolution::Ancestor> ancestors_;
  std::string_view counted_tenant_;  // TenantOf the rule that is asked about
  Arena& arena_;
  const config::DescriptorPath* path_ = nullptr;  // of the rule that is asked about
  const algorithms::Limit* client_limit_ = nullptr;
  HashedSubject hashed_;          // the latest one: several rules usually count the same
  std::string_view client_text_;  // several rules of a request usually count its address
};

}  // namespace weir::engine
