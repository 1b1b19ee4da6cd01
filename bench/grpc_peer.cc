// The rate limit service of Envoy on Google's grpc++ (its callback API, its fastest), with weir's own engine behind it:
// beside weir in one run it tells what a front end costs. It answers what weir answers, the rate limit headers too.
//   weir_bench_grpc_peer CONFIG ADDRESS
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "engine/decide/decide.h"
#include "engine/engine.h"
#include "envoy/service/ratelimit/v3/rls.grpc.pb.h"
#include "headers/rate_limit_headers.h"
#include "weir/config.h"
#include "weir/rate_limiter.h"

namespace {

namespace rls = envoy::service::ratelimit::v3;
using Response = rls::RateLimitResponse;

std::uint32_t Clamp(std::uint64_t value) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(value, std::numeric_limits<std::uint32_t>::max()));
}

Response::RateLimit::Unit UnitOf(std::uint64_t seconds) {
  switch (seconds) {
    case 1:
      return Response::RateLimit::SECOND;
    case 60:
      return Response::RateLimit::MINUTE;
    case 3600:
      return Response::RateLimit::HOUR;
    default:
      return Response::RateLimit::DAY;
  }
}

void AddHeaders(const weir::Decision& told, weir::Nanos now, Response& response) {
  thread_local std::string lines;
  lines.clear();
  weir::headers::AppendRateLimitHeaders(told, now, &lines);
  weir::headers::ForEachHeader(lines, [&](std::string_view name, std::string_view value) {
    auto& header = *response.add_response_headers_to_add();
    header.set_key(name.data(), name.size());
    header.set_value(value.data(), value.size());
  });
}

void Describe(const weir::Decision& decision, Response::DescriptorStatus& status) {
  status.set_code(decision.allowed ? Response::OK : Response::OVER_LIMIT);
  const weir::RuleOutcome* rule = decision.decider();
  if (rule == nullptr) return;
  auto& limit = *status.mutable_current_limit();
  limit.set_requests_per_unit(Clamp(rule->outcome.limit));
  limit.set_unit(UnitOf(rule->window_seconds));
  if (rule->policy != rule->rule) limit.set_name(std::string(rule->policy));
  status.set_limit_remaining(Clamp(rule->outcome.remaining));
  status.mutable_duration_until_reset()->set_seconds(rule->outcome.reset_after_ns / 1'000'000'000);
}

class Service final : public rls::RateLimitService::CallbackService {
 public:
  explicit Service(weir::engine::Engine& engine) : engine_(engine) {}

  grpc::ServerUnaryReactor* ShouldRateLimit(grpc::CallbackServerContext* context, const rls::RateLimitRequest* request,
                                            Response* response) override {
    thread_local std::vector<weir::engine::Call> calls;
    thread_local std::vector<weir::Attribute> entries;
    const auto asked = static_cast<std::size_t>(request->descriptors_size());
    if (calls.size() < asked) calls.resize(asked);
    std::size_t total = 0;
    for (const auto& descriptor : request->descriptors()) total += static_cast<std::size_t>(descriptor.entries_size());
    entries.clear();
    entries.reserve(total);
    for (int i = 0; i < request->descriptors_size(); ++i) {
      const std::size_t first = entries.size();
      for (const auto& entry : request->descriptors(i).entries()) entries.push_back({entry.key(), entry.value()});
      auto& call = calls[static_cast<std::size_t>(i)];
      call.descriptor = true;
      call.join = i == 0 ? weir::engine::Join::kNone : weir::engine::Join::kAllOrNothing;
      call.request.domain = request->domain();
      call.request.attributes = std::span(entries).subspan(first);
      call.request.cost = std::max(1U, request->hits_addend());
    }
    // The memory store completes inline.
    const auto batch = std::span(calls).first(asked);
    if (!engine_.Submit(batch, nullptr)) std::abort();
    bool allowed = true;
    const weir::Decision* told = nullptr;
    for (const auto& call : batch) {
      allowed = allowed && call.decision.allowed;
      if (told == nullptr || weir::engine::Outranks(call.decision, *told)) told = &call.decision;
      Describe(call.decision, *response->add_statuses());
    }
    if (told != nullptr) AddHeaders(*told, engine_.clock().Now(), *response);
    response->set_overall_code(allowed ? Response::OK : Response::OVER_LIMIT);
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  weir::engine::Engine& engine_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: weir_bench_grpc_peer CONFIG ADDRESS\n", stderr);
    return 2;
  }
  auto config = weir::LoadConfigFile(argv[1]);
  if (!config) {
    std::fprintf(stderr, "%s\n", config.error().message.c_str());
    return 1;
  }
  auto limiter = weir::RateLimiter::Create(*config);
  if (!limiter) {
    std::fprintf(stderr, "%s\n", limiter.error().message.c_str());
    return 1;
  }
  Service service((*limiter)->engine());
  grpc::ServerBuilder builder;
  builder.AddListeningPort(argv[2], grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  server->Wait();
}
