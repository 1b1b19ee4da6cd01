// A service on an engine on a memory store, asked with protobuf's own classes. Tests only.
#pragma once

#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <atomic>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/engine_fixture.h"
#include "frontends/rls/http2/service.h"

namespace weir::rls {

class CountingCompletion final : public storage::Completion {
 public:
  void Done() noexcept override { ++times; }
  std::atomic<int> times{0};
};

template <typename TheService>
class ServiceTest : public engine::EngineTest {
 protected:
  void Serve(std::string_view yaml, Setup setup = {}) {
    Start(yaml, std::move(setup));
    service_ = std::make_unique<TheService>(*engine_);
  }

  struct Asked {
    std::string request;
    std::uint32_t method = 0;
  };
  // As one read of a connection would bring them. What comes later is awaited by Release.
  std::vector<UnaryCall> AnswerAll(const std::vector<Asked>& asked) {
    std::vector<UnaryCall> calls;
    for (const Asked& one : asked) {
      calls.push_back(
          {.method = one.method, .request = one.request, .peer = "192.0.2.9", .response = {}, .status = {}});
    }
    CountingCompletion done;
    if (service_->Answer(calls, &done)) {
      EXPECT_EQ(done.times, 0);
      return calls;
    }
    while (store_->Release() > 0) {
    }
    EXPECT_EQ(done.times, 1);
    return calls;
  }
  UnaryCall Answer(const google::protobuf::Message& request, std::uint32_t method = 0) {
    return AnswerAll({{request.SerializeAsString(), method}})[0];
  }

  std::unique_ptr<TheService> service_;
};

}  // namespace weir::rls
