#include "config/snapshot/endpoint_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/ascii.h"

namespace weir::config {
namespace {

std::vector<std::string_view> Sorted(const std::vector<std::string>& names) {
  std::vector<std::string_view> sorted(names.begin(), names.end());
  std::ranges::sort(sorted);
  return sorted;
}

// An unknown (empty) name is in no list; every name is in an empty one.
bool Holds(const std::vector<std::string_view>& names, std::string_view name) {
  return names.empty() || (!name.empty() && std::ranges::binary_search(names, name));
}

bool HoldsMethod(const std::vector<std::string_view>& methods, std::string_view method) {
  return methods.empty() ||
         std::ranges::any_of(methods, [&](std::string_view known) { return EqualsIgnoreCase(known, method); });
}

bool Intersect(const std::vector<std::string_view>& a, const std::vector<std::string_view>& b) {
  if (a.empty() || b.empty()) return true;
  return std::ranges::any_of(a, [&](std::string_view name) { return std::ranges::binary_search(b, name); });
}

void ReportTie(const EndpointMatch& a, const EndpointMatch& b, FaultList& faults) {
  faults.Add(fmt::format("endpoints.{}", b.pattern),
             fmt::format("ties with '{}': neither pattern is more specific, and some requests match both", a.pattern),
             "constrain one of them by methods, tenants or users, or make one pattern more specific");
}

}  // namespace

bool EndpointTable::Constraints::Admit(const EndpointQuery& query) const {
  const bool method = HoldsMethod(methods, query.method) || (holds_for_head && EqualsIgnoreCase("HEAD", query.method));
  return method && Holds(tenants, query.tenant) && Holds(users, query.user);
}

bool EndpointTable::Constraints::ShareARequest(const Constraints& other) const {
  return Intersect(methods, other.methods) && Intersect(tenants, other.tenants) && Intersect(users, other.users);
}

unsigned EndpointTable::Constraints::Rank() const {
  return (users.empty() ? 0u : 4u) + (tenants.empty() ? 0u : 2u) + (methods.empty() ? 0u : 1u);
}

std::vector<EndpointTable::Parsed> EndpointTable::Parse(const std::map<std::string, EndpointLimits>& endpoints,
                                                        std::span<const Rule* const> rules, FaultList& faults) {
  std::vector<Parsed> parsed;
  parsed.reserve(endpoints.size());
  std::size_t index = 0;
  for (const auto& [text, limits] : endpoints) {
    const Rule& rule = *rules[index++];
    auto pattern = ParsePathPattern(text, limits.ignore_case);
    if (!pattern) {
      faults.Add(fmt::format("endpoints.{}", text), pattern.error().message);
      continue;
    }
    Parsed& next = parsed.emplace_back();
    next.entry.match = {.rule = &rule, .combine = limits.combine, .pattern = text};
    next.pattern = std::move(*pattern);
    has_stacked_ |= limits.combine == Combine::kStack;
    Constraints constraints{
        .methods = Sorted(limits.methods), .tenants = Sorted(limits.tenants), .users = Sorted(limits.users)};
    constraints.holds_for_head = std::ranges::binary_search(constraints.methods, "GET");
    next.names_head = std::ranges::binary_search(constraints.methods, "HEAD");
    next.rank = constraints.Rank();
    if (next.rank == 0) continue;
    next.entry.constraints = static_cast<std::uint32_t>(constraints_.size());
    constraints_.push_back(std::move(constraints));
  }
  std::ranges::stable_sort(parsed, std::ranges::greater(),
                           [](const Parsed& one) { return std::pair(one.rank, one.names_head); });
  return parsed;
}

void EndpointTable::Build(const std::map<std::string, EndpointLimits>& endpoints, std::span<const Rule* const> rules,
                          FaultList& faults) {
  const std::vector<Parsed> parsed = Parse(endpoints, rules, faults);
  PathTrieBuilder builder;
  for (const Parsed& each : parsed) {
    builder.Insert(each.pattern, static_cast<std::uint32_t>(entries_.size()));
    entries_.push_back(each.entry);
  }
  trie_ = builder.Build();
  ReportTies(builder, parsed, faults);
}

bool EndpointTable::Tie(const Entry& a, const Entry& b) const {
  if (a.match.combine == Combine::kStack || b.match.combine == Combine::kStack) return false;
  return constraints_[a.constraints].ShareARequest(constraints_[b.constraints]);
}

void EndpointTable::ReportTies(const PathTrieBuilder& builder, std::span<const Parsed> parsed,
                               FaultList& faults) const {
  for (const auto& group : builder.SamePatterns()) {
    for (std::size_t i = 0; i < group.size(); ++i) {
      for (std::size_t k = i + 1; k < group.size(); ++k) {
        const Parsed& a = parsed[group[i]];
        const Parsed& b = parsed[group[k]];
        if (a.rank == b.rank && Tie(a.entry, b.entry)) ReportTie(a.entry.match, b.entry.match, faults);
      }
    }
  }
  // Sibling globs that begin and end alike ("a*b*c*d", "a*c*b*d"): whatever follows them, neither is more specific.
  for (const auto& globs : builder.RivalGlobs()) {
    for (std::size_t i = 0; i < globs.size(); ++i) {
      for (std::size_t k = i + 1; k < globs.size(); ++k) {
        for (const std::uint32_t left : globs[i]) {
          for (const std::uint32_t right : globs[k]) {
            const Parsed& a = parsed[left];
            const Parsed& b = parsed[right];
            if (Overlap(a.pattern, b.pattern) && Tie(a.entry, b.entry)) ReportTie(a.entry.match, b.entry.match, faults);
          }
        }
      }
    }
  }
}

void EndpointTable::Visit(const EndpointQuery& query,
                          absl::FunctionRef<Snapshot::Visit(const EndpointMatch&)> visit) const {
  if (entries_.empty()) return;
  trie_.Visit(query.path, [&](std::uint32_t value) {
    const Entry& entry = entries_[value];
    if (entry.constraints != 0 && !constraints_[entry.constraints].Admit(query)) return false;
    return entry.match.rule->InForce(query.now) && visit(entry.match) == Snapshot::Visit::kStop;
  });
}

}  // namespace weir::config
