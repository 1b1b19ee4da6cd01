#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>

#include "cli/commands.h"
#include "cli/request_flags.h"
#include "cli/terminal.h"
#include "engine/engine.h"
#include "weir/rate_limiter.h"

namespace weir::cli {
namespace {

struct Prepared {
  std::unique_ptr<RateLimiter> limiter;
  FlaggedRequest flagged;
};

Result<Prepared> Prepare(const RequestOptions& options) {
  auto config = LoadOrSample(options.config_file);
  if (!config) return std::unexpected(config.error());
  auto flagged = FlaggedRequest::Create(options);
  if (!flagged) return std::unexpected(flagged.error());
  auto limiter = RateLimiter::Create(*config);
  if (!limiter) return std::unexpected(limiter.error());
  return Prepared{std::move(*limiter), std::move(*flagged)};
}

// As RateLimiter::Check and Explain, which know no descriptors. The error is that of an unknown domain.
Result<Decision> Ask(Prepared& prepared, engine::CallKind kind, std::vector<ExplainStep>* trace) {
  engine::Call call;
  call.kind = kind;
  call.request = prepared.flagged.request();
  call.descriptor = prepared.flagged.is_descriptor();
  call.trace = trace;
  prepared.limiter->engine().Run({&call, 1});
  if (!call.status) return std::unexpected(call.status.error());
  return call.decision;
}

}  // namespace

int RunCheck(const RequestOptions& options) {
  auto prepared = Prepare(options);
  if (!prepared) {
    fmt::print(stderr, "weir: {}\n", prepared.error().message);
    return 2;
  }
  Decision decision;
  std::uint32_t allowed = 0;
  for (std::uint32_t i = 0; i < options.count; ++i) {
    const auto answer = Ask(*prepared, engine::CallKind::kCheck, nullptr);
    if (!answer) {
      fmt::print(stderr, "weir: {}\n", answer.error().message);
      return 2;
    }
    decision = *answer;
    if (decision.allowed) ++allowed;
  }
  fmt::print("{}", options.json ? DecisionJson(decision) : DecisionText(decision));
  if (options.count > 1 && !options.json) fmt::print("{} of {} were allowed\n", Count(allowed), Count(options.count));
  return decision.allowed ? 0 : 1;
}

int RunExplain(const RequestOptions& options) {
  auto prepared = Prepare(options);
  if (!prepared) {
    fmt::print(stderr, "weir: {}\n", prepared.error().message);
    return 2;
  }
  Explanation explanation;
  const auto answer = Ask(*prepared, engine::CallKind::kPeek, &explanation.steps);
  if (!answer) {
    fmt::print(stderr, "weir: {}\n", answer.error().message);
    return 2;
  }
  explanation.decision = *answer;
  if (options.json) {
    boost::json::array steps;
    for (const ExplainStep& step : explanation.steps) {
      steps.push_back(boost::json::object{{"stage", step.stage}, {"detail", step.detail}});
    }
    boost::json::object root = boost::json::parse(DecisionJson(explanation.decision)).as_object();
    root["steps"] = std::move(steps);
    fmt::print("{}\n", boost::json::serialize(root));
  } else {
    for (const ExplainStep& step : explanation.steps) fmt::print("{:<11} {}\n", step.stage, Printable(step.detail));
    fmt::print("\n{}", DecisionText(explanation.decision));
  }
  return explanation.decision.allowed ? 0 : 1;
}

}  // namespace weir::cli
