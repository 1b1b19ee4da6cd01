#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <utility>

#include "config/compile/compile_rules.h"
#include "config/compile/fingerprint.h"

namespace weir::config {
namespace {

constexpr int kMostDepth = 16;
constexpr std::array<std::string_view, 5> kNamedSources = {"header:", "query:", "cookie:", "jwt:", "attribute:"};

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

Identifier::Kind KindOf(CompositeStrategy strategy) {
  switch (strategy) {
    case CompositeStrategy::kCombine:
      return Identifier::Kind::kCombine;
    case CompositeStrategy::kFirstAvailable:
      return Identifier::Kind::kFirstAvailable;
    case CompositeStrategy::kStrictestLimit:
      return Identifier::Kind::kStrictest;
  }
  return Identifier::Kind::kCombine;
}

}  // namespace

IdentifierCompiler::IdentifierCompiler(std::span<const std::string> registered, const IpRules& prefixes,
                                       std::vector<std::string> extractors, FaultList& faults)
    : registered_(registered),
      ipv4_prefix_(prefixes.ipv4_prefix),
      ipv6_prefix_(prefixes.ipv6_prefix),
      faults_(faults),
      extractors_(std::move(extractors)) {
  for (std::size_t i = 0; i < extractors_.size(); ++i) {
    extractor_index_.emplace(extractors_[i], static_cast<std::uint32_t>(i));
  }
}

std::shared_ptr<const Identifier> IdentifierCompiler::Compile(const EnhancedIdentifier& identifier,
                                                              std::string_view path) {
  constexpr std::size_t kMostKnown = 32;
  for (const auto& [known, compiled] : known_) {
    if (known == identifier) return compiled;
  }
  const bool clean = faults_.empty();
  auto compiled = std::make_shared<const Identifier>(CompileAt(identifier, path, 0));
  // With faults: another rule that says the same has them too.
  if (known_.size() < kMostKnown && clean && faults_.empty()) known_.emplace_back(identifier, compiled);
  return compiled;
}

Identifier IdentifierCompiler::CompileAt(const EnhancedIdentifier& identifier, std::string_view path, int depth) {
  Identifier compiled;
  const auto part = [&](const std::shared_ptr<const EnhancedIdentifier>& of, std::string_view name) {
    if (of == nullptr) {
      faults_.Add(fmt::format("{}.{}", path, name), "is missing: a composite has two parts");
      return std::make_unique<const Identifier>();
    }
    return std::make_unique<const Identifier>(CompileAt(*of, path, depth + 1));
  };
  std::visit(Overloaded{
                 [&](const IpAddress& ip) {
                   compiled.kind = Identifier::Kind::kIp;
                   compiled.use_forwarded = ip.use_forwarded;
                 },
                 [&](const UserId& user) {
                   compiled.kind = Identifier::Kind::kUser;
                   compiled.fallback_to_ip = user.fallback_to_ip;
                   compiled.tier_field = user.tier_field.value_or("");
                 },
                 [&](const ApiKey& key) {
                   compiled.kind = Identifier::Kind::kApiKey;
                   compiled.quota_field = key.quota_field.value_or("");
                   compiled.key_prefix = key.key_prefix.value_or("");
                 },
                 [&](const Composite& composite) {
                   if (depth == kMostDepth) {
                     faults_.Add(std::string(path), fmt::format("composites are nested more than {} deep", kMostDepth));
                     return;
                   }
                   compiled.kind = KindOf(composite.strategy);
                   compiled.primary = part(composite.primary, "primary");
                   compiled.secondary = part(composite.secondary, "secondary");
                 },
                 [&](const CustomIdentifier& custom) {
                   compiled.kind = Identifier::Kind::kExtractor;
                   compiled.extractor = custom.extractor;
                   compiled.cache_duration = Nanos{custom.cache_duration.value_or(0)} * kSecond;
                   compiled.extractor_index = ExtractorIndex(custom.extractor, path);
                 },
                 [&](const GlobalIdentifier&) { compiled.kind = Identifier::Kind::kGlobal; },
                 [&](const TenantId&) { compiled.kind = Identifier::Kind::kTenant; },
             },
             identifier.kind);
  return compiled;
}

std::uint32_t IdentifierCompiler::ExtractorIndex(const std::string& extractor, std::string_view path) {
  const auto next = static_cast<std::uint32_t>(extractors_.size());
  const auto [known, is_new] = extractor_index_.try_emplace(extractor, next);
  if (is_new) {
    CheckExtractor(extractor, path);
    extractors_.push_back(extractor);
  }
  return known->second;
}

void IdentifierCompiler::CheckExtractor(const std::string& extractor, std::string_view path) {
  const auto wrong = [&](std::string message, std::string hint = {}) {
    faults_.Add(fmt::format("{}.identifier.extractor", path), std::move(message), std::move(hint));
  };
  for (const std::string_view source : kNamedSources) {
    if (!extractor.starts_with(source)) continue;
    if (extractor.size() == source.size()) wrong(fmt::format("'{}' names nothing", extractor));
    return;
  }
  if (extractor.starts_with("lua:")) {
    if (extractor.size() == 4) wrong("'lua:' has no script behind it");
    return;
  }
  if (extractor.starts_with("path:")) {
    RE2::Options options;
    options.set_log_errors(false);
    const RE2 regex(extractor.substr(5), options);
    if (!regex.ok()) wrong(fmt::format("'{}' is not a regular expression: {}", extractor.substr(5), regex.error()));
    return;
  }
  if (extractor == "basic:ip") return;
  if (std::ranges::find(registered_, extractor) != registered_.end()) return;
  wrong(fmt::format("no extractor is registered as '{}'", extractor),
        "built-in ones begin with header:, query:, cookie:, path:, jwt:, attribute: or lua:");
}

std::uint64_t IdentifierCompiler::HashOf(const Identifier& identifier) const {
  using Kind = Identifier::Kind;
  Fingerprint print;
  print.Add(static_cast<std::uint64_t>(identifier.kind));
  if (identifier.kind == Kind::kIp || (identifier.kind == Kind::kUser && identifier.fallback_to_ip)) {
    print.Add(identifier.use_forwarded ? 1 : 0).Add(ipv4_prefix_).Add(ipv6_prefix_);
  }
  if (identifier.kind == Kind::kApiKey) print.Add(identifier.key_prefix);
  if (identifier.kind == Kind::kExtractor) print.Add(identifier.extractor);
  if (identifier.primary) print.Add(HashOf(*identifier.primary));
  if (identifier.secondary) print.Add(HashOf(*identifier.secondary));
  return print.Hash();
}

}  // namespace weir::config
