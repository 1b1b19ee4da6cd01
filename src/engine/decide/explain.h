// The context of an explanation that the engine itself tells: who was counted, what each counter said, what came of it.
// Each adds whole sentences to the trace.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "engine/batch/ask_rule.h"
#include "engine/batch/item_context.h"
#include "engine/resolve/resolve.h"
#include "storage/store.h"
#include "weir/decision.h"
#include "weir/request.h"

namespace weir::engine {

using Trace = std::vector<ExplainStep>;

void ExplainFacts(const config::Snapshot& snapshot, const Request& request, const Facts& facts, Trace& trace);
// `limit`: asked.limit, with the quota that the request brings.
void ExplainSubjects(const RuleUse& use, const Asked& asked, const algorithms::Limit& limit, Trace& trace);
// `look`: a kPeek plan of adaptive items, with copies.
void ExplainLearned(const storage::Plan& look, std::span<const ItemContext> contexts, std::string_view store,
                    Trace& trace);
// After the plan was answered. `changed`: allowed outcomes were charged, not only looked at.
void ExplainOutcomes(const storage::Plan& plan, std::span<const ItemContext> contexts, std::string_view store,
                     bool changed, Trace& trace);
void ExplainDecision(const Decision& decision, Trace& trace);

// "1.5 s", "250 ms", "3 min 20 s", "2 h"; for people.
std::string FormatDuration(std::int64_t nanos);
// Quoted, with what is not printable escaped, shortened after 80 bytes.
std::string QuoteForPeople(std::string_view text);

}  // namespace weir::engine
