#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "base/utf8.h"
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

struct Answer {
  Decision decision;
  std::vector<std::string> subjects;
};

// As RateLimiter::Check and Explain, which know no descriptors. The error is that of an unknown domain.
Result<Answer> Ask(Prepared& prepared, engine::CallKind kind, std::vector<ExplainStep>* trace) {
  Answer answer;
  engine::Call call;
  call.kind = kind;
  call.request = prepared.flagged.request();
  call.descriptor = prepared.flagged.is_descriptor();
  call.trace = trace;
  call.subjects = &answer.subjects;
  prepared.limiter->engine().Run({&call, 1});
  if (!call.status) return std::unexpected(call.status.error());
  answer.decision = std::move(call.decision);
  return answer;
}

int Complain(const Error& error) {
  fmt::print(stderr, "weir: {}\n", error.message);
  return 2;
}

}  // namespace

int RunCheck(const RequestOptions& options) {
  auto prepared = Prepare(options);
  if (!prepared) return Complain(prepared.error());
  Answer last;
  std::uint32_t allowed = 0, first_denied = 0;
  const bool several = options.count > 1;
  // Many answers are written as they come: a million of them need no memory.
  if (options.json && several) fmt::print("{{\"decisions\":[");
  for (std::uint32_t i = 0; i < options.count; ++i) {
    auto answer = Ask(*prepared, engine::CallKind::kCheck, nullptr);
    if (!answer) return Complain(answer.error());
    last = std::move(*answer);
    if (last.decision.allowed) {
      ++allowed;
    } else if (first_denied == 0) {
      first_denied = i + 1;
    }
    if (!options.json) continue;
    fmt::print("{}{}", i > 0 ? "," : "", boost::json::serialize(DecisionJson(last.decision, last.subjects)));
  }
  const std::uint32_t denied = options.count - allowed;
  if (options.json) {
    if (several) fmt::print("],\"asked\":{},\"allowed\":{},\"denied\":{}}}", options.count, allowed, denied);
    fmt::print("\n");
  } else {
    fmt::print("{}", DecisionText(last.decision, last.subjects));
    if (several) {
      fmt::print("{} of {} were allowed{}\n", Count(allowed), Count(options.count),
                 first_denied == 0 ? "" : fmt::format("; number {} was the first to be denied", Count(first_denied)));
    }
  }
  return last.decision.allowed ? 0 : 1;
}

int RunExplain(const RequestOptions& options) {
  auto prepared = Prepare(options);
  if (!prepared) return Complain(prepared.error());
  std::vector<ExplainStep> steps;
  const auto answer = Ask(*prepared, engine::CallKind::kPeek, &steps);
  if (!answer) return Complain(answer.error());
  if (options.json) {
    boost::json::array explain;
    for (const ExplainStep& step : steps) {
      explain.push_back(boost::json::object{{"stage", step.stage}, {"detail", ReplaceInvalidUtf8(step.detail)}});
    }
    boost::json::object root = DecisionJson(answer->decision, answer->subjects);
    root["explain"] = std::move(explain);
    fmt::print("{}\n", boost::json::serialize(root));
  } else {
    for (const ExplainStep& step : steps) fmt::print("{:<11} {}\n", step.stage, Printable(step.detail));
    fmt::print("\n{}", DecisionText(answer->decision, answer->subjects));
  }
  return answer->decision.allowed ? 0 : 1;
}

}  // namespace weir::cli
