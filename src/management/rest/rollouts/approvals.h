// Four eyes: what the document's `approvals` section asks for is kept as a candidate until a second person approves it.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "config/source/config_store.h"
#include "management/auth/documents.h"
#include "management/auth/principal.h"
#include "management/rest/problem.h"
#include "weir/config.h"
#include "weir/result.h"

namespace weir::management::rest {

inline constexpr std::string_view kApprovalKind = "approvals";
inline constexpr std::string_view kCandidateKind = "candidates";  // who proposed one: WriteProposer()
// Approvals that wait at once.
inline constexpr std::size_t kMostWaiting = 1'000;
// Those that are decided and older than the oldest that waits; more are forgotten.
inline constexpr std::size_t kMostDecidedKept = 1'000;

struct Approval {
  std::uint64_t number = 0;  // of the candidate
  std::string author = {};
  std::vector<std::string> persons = {};  // who have a part in the change, and so cannot approve it
  std::string reason = {};
  Nanos asked = 0;
  bool rollout = false;  // once approved, it is rolled out in stages
  // Of who has decided; empty: nobody has.
  std::string decision =
      {};  // "approved", "rejected", "withdrawn"; "refused": approved, and the engine did not take it
  std::string decided_by = {};
  std::string decided_because = {};
  Nanos decided = 0;
};
// NamesOfPerson(), a line each.
std::string WriteProposer(const Principal& principal);
std::vector<std::string> ReadProposer(std::string_view text);
std::string WriteApproval(const Approval& approval);
Result<Approval> ReadApproval(std::string_view text);

// Whether these writes hold only once a second person has approved them.
bool NeedApproval(const ApprovalsConfig& config, std::span<const config::RecordWrite> writes);
bool NeedApproval(const ApprovalsConfig& config, ApprovalScope scope);

// Whether it is still to be decided. `candidate`: the state of its revision.
bool IsWaiting(const Approval& approval, config::RevisionState candidate);

// Asks for one, and forgets old ones that were decided. kResourceExhausted: too many wait; kFailedPrecondition: this
// one has been decided. `store`: of the candidates.
Result<> AskForApproval(Documents& documents, const Approval& approval, config::ConfigStore& store);
// The one that was asked for; nullopt: none was.
Result<std::optional<Approval>> FindApproval(Documents& documents, std::uint64_t number);

struct Decision {
  std::string what = {}, by = {}, because = {};
  Nanos at = 0;
};
// Notes how it ended; nothing happens where none was asked for or one has decided.
Result<> CloseApproval(Documents& documents, std::uint64_t number, const Decision& decision);

// Whether the principal is none of those.
bool IsSecondPerson(const Principal& principal, const Approval& approval);

}  // namespace weir::management::rest
