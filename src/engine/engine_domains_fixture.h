// What tests of descriptors begin with: a document with a domain's tree, and ways to ask by its entries.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "engine/engine_fixture.h"

namespace weir::engine {

using Entries = std::vector<Attribute>;

inline constexpr std::string_view kTree = R"(
global:
  free_tier: {max_requests: 1000, window_seconds: 60, algorithm: token_bucket}
exemptions: {users: [root]}
ip_rules:
  rules: [{name: bad, cidrs: [203.0.113.0/24], action: block}]
domains:
  d:
    descriptors:
      - {key: path, rule: {max_requests: 2, window_seconds: 60, name: by_path}}
      - {key: path, value: "files*", share_threshold: true, rule: {max_requests: 2, window_seconds: 60}}
      - {key: user, rule: {max_requests: 3, window_seconds: 60, name: by_user}}
      - {key: vip, replaces: [by_user, by_path], rule: {max_requests: 5, window_seconds: 60}}
      - {key: free, rule: unlimited}
      - {key: soft, quota_mode: true, rule: {max_requests: 1, window_seconds: 60}}
      - {key: dark, rule: {max_requests: 1, window_seconds: 60, mode: shadow}}
      - {key: shown, detailed_metric: true, rule: {max_requests: 1, window_seconds: 60}}
      - key: outer
        value: a
        descriptors: [{key: inner, value_to_metric: true, rule: {max_requests: 2, window_seconds: 60}}]
      - {key: slot, rule: {max_requests: 1, window_seconds: 60, algorithm: {concurrency: {}}}}
  h:
    hierarchy: true
    descriptors:
      - {key: path, rule: {max_requests: 2, window_seconds: 60}}
)";

class DomainsTest : public EngineTest {
 protected:
  Call Ask(const Entries& entries, std::string_view domain = "d") {
    Call call = Of(entries, domain);
    engine_->Run({&call, 1});
    return call;
  }
  static Call Of(const Entries& entries, std::string_view domain = "d") {
    Call call;
    call.descriptor = true;
    call.request.domain = domain;
    call.request.attributes = entries;
    return call;
  }
  // Descriptors of one request.
  std::vector<Call> AskAll(const std::vector<Entries>& all, Join join, CallKind kind = CallKind::kCheck) {
    std::vector<Call> calls;
    for (const Entries& entries : all) {
      calls.push_back(Of(entries));
      calls.back().kind = kind;
      if (calls.size() > 1) calls.back().join = join;
    }
    engine_->Run(calls);
    return calls;
  }
  std::uint64_t Left(const Entries& entries) {
    Call call = Of(entries);
    call.kind = CallKind::kPeek;
    engine_->Run({&call, 1});
    EXPECT_EQ(call.decision.rule_count, 1U);
    // A peek tells what would be left if it were a check.
    const Outcome& outcome = call.decision.rules()[0].outcome;
    return outcome.verdict == Verdict::kAllowed ? outcome.remaining + 1 : 0;
  }
  Engine::RuleCounts CountsOf(std::string_view rule, std::string_view detail) {
    for (const auto& counts : engine_->GetCounts().rules) {
      if (counts.rule == rule && counts.detail == detail) return counts;
    }
    ADD_FAILURE() << "nothing is counted for " << rule << " " << detail;
    return {};
  }
};

}  // namespace weir::engine
