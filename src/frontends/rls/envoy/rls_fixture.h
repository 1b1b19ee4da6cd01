// Envoy's rate limit service on an engine of its own, asked in messages. Tests only.
#pragma once

#include <envoy/service/ratelimit/v3/rls.pb.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "frontends/rls/envoy/rls_service.h"
#include "frontends/rls/service_fixture.h"

namespace weir::rls {

using envoy::service::ratelimit::v3::RateLimitRequest;
using envoy::service::ratelimit::v3::RateLimitResponse;
using ReferenceStatus = RateLimitResponse::DescriptorStatus;
using Entries = std::vector<std::pair<std::string, std::string>>;

inline constexpr std::string_view kEdge = R"(
global:
  free_tier: {max_requests: 1000, window_seconds: 60, algorithm: token_bucket}
domains:
  edge:
    descriptors:
      - {key: ip, rule: {max_requests: 3, window_seconds: 60, name: per_ip}}
      - {key: path, rule: {max_requests: 5, window_seconds: 3600}}
      - {key: odd, rule: {max_requests: 5, window_seconds: 90}}
      - {key: never, rule: {max_requests: 0, window_seconds: 60}}
      - {key: free, rule: unlimited}
      - {key: soft, quota_mode: true, rule: {max_requests: 1, window_seconds: 60, name: soft}}
      - {key: dark, rule: {max_requests: 1, window_seconds: 60, mode: shadow}}
      - {key: slot, rule: {max_requests: 4, window_seconds: 86400}}
      - {key: vip, replaces: [per_ip], rule: {max_requests: 100, window_seconds: 1}}
  whole:
    hierarchy: true
)";

class RlsServiceTest : public ServiceTest<RlsService> {
 protected:
  static RateLimitRequest Request(const std::vector<Entries>& descriptors, std::uint32_t hits = 0,
                                  const std::string& domain = "edge") {
    RateLimitRequest request;
    request.set_domain(domain);
    request.set_hits_addend(hits);
    for (const Entries& entries : descriptors) {
      auto* descriptor = request.add_descriptors();
      for (const auto& [key, value] : entries) {
        auto* entry = descriptor->add_entries();
        entry->set_key(key);
        entry->set_value(value);
      }
    }
    return request;
  }
  RateLimitResponse Ask(const RateLimitRequest& request) {
    const UnaryCall call = Answer(request);
    EXPECT_EQ(call.status.code, Code::kOk) << call.status.message;
    RateLimitResponse response;
    EXPECT_TRUE(response.ParseFromString(call.response));
    EXPECT_EQ(response.statuses_size(), request.descriptors_size());
    return response;
  }
  RateLimitResponse Ask(const std::vector<Entries>& descriptors, std::uint32_t hits = 0) {
    return Ask(Request(descriptors, hits));
  }
  static std::string Header(const RateLimitResponse& response, std::string_view name) {
    for (const auto& header : response.response_headers_to_add()) {
      if (header.key() == name) return header.value();
    }
    return "(absent)";
  }
};

}  // namespace weir::rls
