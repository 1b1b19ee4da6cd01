// The endpoints of a snapshot: a path trie whose values are constrained by method, tenant and user.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/compile/compile_rules.h"
#include "config/snapshot/path_trie.h"
#include "config/snapshot/snapshot.h"

namespace weir::config {

// Borrows from the document and the rules that it is made of.
class EndpointTable {
 public:
  // `rules` in the order of `endpoints`. Patterns that cannot be read or that tie are reported.
  void Build(const std::map<std::string, EndpointLimits>& endpoints, std::span<const Rule* const> rules,
             FaultList& faults);

  // Whether any holds beside others.
  bool has_stacked() const { return has_stacked_; }
  void Visit(const EndpointQuery& query, absl::FunctionRef<Snapshot::Visit(const EndpointMatch&)> visit) const;

 private:
  // Sorted; empty = all. An endpoint without any has none of these.
  struct Constraints {
    std::vector<std::string_view> methods, tenants, users;
    bool holds_for_head = false;  // GET is among the methods
    bool Admit(const EndpointQuery& query) const;
    bool ShareARequest(const Constraints& other) const;
    // Of one pattern: for users, then for tenants, then for methods, then for all.
    unsigned Rank() const;
  };
  struct Entry {
    EndpointMatch match;
    std::uint32_t constraints = 0;  // in constraints_; 0 = none
  };
  // While building: an entry that is not yet in order, with its pattern.
  struct Parsed {
    Entry entry;
    PathPattern pattern;
    unsigned rank = 0;
    bool names_head = false;  // goes before one that holds for HEAD because it names GET
  };
  std::vector<Parsed> Parse(const std::map<std::string, EndpointLimits>& endpoints, std::span<const Rule* const> rules,
                            FaultList& faults);
  void ReportTies(const PathTrieBuilder& builder, std::span<const Parsed> parsed, FaultList& faults) const;
  // Whether it is a fault that neither goes before the other: of those that stack, all hold.
  bool Tie(const Entry& a, const Entry& b) const;

  std::vector<Entry> entries_;
  std::vector<Constraints> constraints_{1};
  PathTrie trie_;
  bool has_stacked_ = false;
};

}  // namespace weir::config
