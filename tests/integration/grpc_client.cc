// A client of weir on Google's grpc++, each of its ways of calling: what a C++ user of the contract would write.
//   weir_grpc_client ADDRESS DOMAIN
// Asks for descriptors (client, sync|callback|queue), each with a limit of its own of 50 a year, 80 times at once, and
// prints how many were let pass and how many not, a line each.
#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "envoy/service/ratelimit/v3/rls.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace {

namespace rls = envoy::service::ratelimit::v3;
using Stub = rls::RateLimitService::Stub;
constexpr int kCalls = 80;

struct Tally {
  int passed = 0, denied = 0, failed = 0;
  void Add(const grpc::Status& status, const rls::RateLimitResponse& response) {
    if (!status.ok()) {
      std::fprintf(stderr, "%d %s\n", status.error_code(), status.error_message().c_str());
      ++failed;
    } else if (response.overall_code() == rls::RateLimitResponse::OK) {
      ++passed;
    } else {
      ++denied;
    }
  }
  void Print(const char* name) const {
    std::printf("%s passed=%d denied=%d failed=%d\n", name, passed, denied, failed);
  }
};

rls::RateLimitRequest Question(const std::string& domain, const std::string& client) {
  rls::RateLimitRequest request;
  request.set_domain(domain);
  auto& descriptor = *request.add_descriptors();
  auto& entry = *descriptor.add_entries();
  entry.set_key("client");
  entry.set_value(client);
  descriptor.mutable_limit()->set_requests_per_unit(50);
  descriptor.mutable_limit()->set_unit(envoy::type::v3::YEAR);
  return request;
}

void Sync(Stub& stub, const std::string& domain, grpc_compression_algorithm compression, const char* name) {
  Tally tally;
  const auto request = Question(domain, name);
  for (int i = 0; i < kCalls; ++i) {
    grpc::ClientContext context;
    context.set_compression_algorithm(compression);
    context.AddMetadata("x-request-id", std::to_string(i));
    rls::RateLimitResponse response;
    tally.Add(stub.ShouldRateLimit(&context, request, &response), response);
  }
  tally.Print(name);
}

struct Asked {
  grpc::ClientContext context;
  rls::RateLimitResponse response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<rls::RateLimitResponse>> reader;
};

void Callback(Stub& stub, const std::string& domain) {
  std::mutex mutex;
  std::condition_variable all;
  Tally tally;
  int open = kCalls;
  const auto request = Question(domain, "callback");
  std::vector<std::unique_ptr<Asked>> asked;
  for (int i = 0; i < kCalls; ++i) {
    auto& one = *asked.emplace_back(std::make_unique<Asked>());
    stub.async()->ShouldRateLimit(&one.context, &request, &one.response, [&](const grpc::Status& status) {
      const std::lock_guard lock(mutex);
      tally.Add(status, one.response);
      if (--open == 0) all.notify_one();
    });
  }
  std::unique_lock lock(mutex);
  all.wait(lock, [&] { return open == 0; });
  tally.Print("callback");
}

void Queue(Stub& stub, const std::string& domain) {
  grpc::CompletionQueue queue;
  Tally tally;
  const auto request = Question(domain, "queue");
  std::vector<std::unique_ptr<Asked>> asked;
  for (int i = 0; i < kCalls; ++i) {
    auto& one = *asked.emplace_back(std::make_unique<Asked>());
    one.reader = stub.AsyncShouldRateLimit(&one.context, request, &queue);
    one.reader->Finish(&one.response, &one.status, &one);
  }
  for (int i = 0; i < kCalls; ++i) {
    void* tag = nullptr;
    bool ok = false;
    if (!queue.Next(&tag, &ok)) break;
    const auto* one = static_cast<Asked*>(tag);
    tally.Add(one->status, one->response);
  }
  queue.Shutdown();
  tally.Print("queue");
}

void Watch(const std::shared_ptr<grpc::Channel>& channel) {
  const auto stub = grpc::health::v1::Health::NewStub(channel);
  grpc::ClientContext context;
  const auto reader = stub->Watch(&context, {});
  grpc::health::v1::HealthCheckResponse response;
  const bool heard = reader->Read(&response);
  context.TryCancel();
  std::printf("watch %s\n",
              heard ? grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response.status()).c_str() : "-");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: weir_grpc_client ADDRESS DOMAIN\n", stderr);
    return 2;
  }
  const auto channel = grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials());
  const auto stub = rls::RateLimitService::NewStub(channel);
  Sync(*stub, argv[2], GRPC_COMPRESS_NONE, "sync");
  Sync(*stub, argv[2], GRPC_COMPRESS_GZIP, "gzip");
  Callback(*stub, argv[2]);
  Queue(*stub, argv[2]);
  Watch(channel);
}
