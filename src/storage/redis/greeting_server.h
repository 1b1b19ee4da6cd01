// A fake server that knows its manners: what is not a plan is answered as Redis does. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/redis/fake_server.h"
#include "storage/redis/plan_codec.h"
#include "storage/redis/store_testing.h"

namespace weir::storage::redis {

using After = FakeServer::After;
using Pace = FakeServer::Pace;
using Answer = FakeServer::Answer;

inline const Limit kBucket = BucketOf(10);

// The script's answers: admitted in a fresh bucket; denied by one that is full until long after kStart.
inline const std::string kAdmitted = "*2\r\n:1\r\n$1\r\na\r\n";
inline const std::string kDenied = "*2\r\n:0\r\n$20\r\nd1800000010000000000\r\n";

// A server that does everything right, but for what the test says about plans.
class RedisStoreTest : public testing::Test {
 protected:
  using Script = std::function<Answer(const Words& words)>;

  // Everything but plans. nullopt: as the default says.
  static Answer Greeting(const Words& words) {
    if (words[0] == "PING") return {"+PONG\r\n"};
    if (words[0] == "TIME") return {"*2\r\n$10\r\n1800000000\r\n$6\r\n000000\r\n"};
    if (words[0] == "SCRIPT")
      return {"$" + std::to_string(PlanScript().sha1.size()) + "\r\n" + std::string(PlanScript().sha1) + "\r\n"};
    return {"+OK\r\n"};
  }
  static bool IsPlan(const Words& words) { return words[0] == "EVALSHA" || words[0] == "EVAL"; }

  static std::unique_ptr<FakeServer> Serve(Script plans) {
    return std::make_unique<FakeServer>(
        [plans = std::move(plans)](const Words& words) { return IsPlan(words) ? plans(words) : Greeting(words); });
  }

  static std::vector<Item> One(std::string_view subject = "a") { return {ItemOf(kBucket, "rule@1", subject)}; }
};

}  // namespace weir::storage::redis
