// TLS against real redis-servers: both sides' certificates.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "storage/redis/redis_process.h"
#include "storage/redis/redis_store.h"
#include "storage/redis/store_testing.h"

namespace weir::storage::redis {
namespace {

class RedisStoreTls : public testing::Test {
 protected:
  void SetUp() override {
    // An authority, a certificate of it for localhost, and another authority that knows nothing of them.
    const std::string script = "cd " + files_.path() + R"( && {
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout redis.key -out redis.csr
      printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' > names
      openssl x509 -req -in redis.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out redis.pem
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=other -keyout other.key -out other.pem
    } >/dev/null 2>&1)";
    ASSERT_EQ(std::system(script.c_str()), 0) << "openssl makes the certificates";
  }

  std::string File(const std::string& name) const { return files_.path() + "/" + name; }
  std::unique_ptr<RedisProcess> Serve(const std::string& clients) const {
    return std::make_unique<RedisProcess>(std::vector<std::string>{
        "--tls-port", std::to_string(port_.number()), "--tls-cert-file", File("redis.pem"), "--tls-key-file",
        File("redis.key"), "--tls-ca-cert-file", File("ca.pem"), "--tls-auth-clients", clients});
  }
  Health HealthOf(const std::string& host, const std::string& query) const {
    const auto store =
        MakeStore(ImpatientOptions("rediss://" + host + ":" + std::to_string(port_.number()) + "/0?" + query));
    if (store->GetHealth() == Health::kUp) {
      const Limit limit = BucketOf(1'000'000);
      for (int i = 0; i < 50; ++i) EXPECT_EQ(Check(*store, {ItemOf(limit, "r", "a")}).status, PlanStatus::kOk);
    }
    return store->GetHealth();
  }

  const TemporaryDirectory files_;
  const HeldPort port_;
};

TEST_F(RedisStoreTls, TheServerIsVerified) {
  const auto server = Serve("no");
  EXPECT_EQ(HealthOf("localhost", "ca=" + File("ca.pem")), Health::kUp);
  EXPECT_EQ(HealthOf("127.0.0.1", "ca=" + File("ca.pem")), Health::kUp);
  EXPECT_EQ(HealthOf("127.0.0.1", "sni=localhost&ca=" + File("ca.pem")), Health::kUp);
  EXPECT_EQ(HealthOf("localhost", "sni=elsewhere.example&ca=" + File("ca.pem")), Health::kDown) << "another name";
  EXPECT_EQ(HealthOf("localhost", "ca=" + File("other.pem")), Health::kDown) << "another authority";
  EXPECT_EQ(HealthOf("localhost", ""), Health::kDown) << "the system does not know ours";
  EXPECT_EQ(HealthOf("localhost", "verify=none"), Health::kUp);
}

TEST_F(RedisStoreTls, TheClientShowsItsCertificate) {
  const auto server = Serve("yes");
  const std::string ca = "ca=" + File("ca.pem");
  EXPECT_EQ(HealthOf("localhost", ca + "&cert=" + File("redis.pem") + "&key=" + File("redis.key")), Health::kUp);
  EXPECT_EQ(HealthOf("localhost", ca), Health::kDown);
  EXPECT_EQ(HealthOf("localhost", ca + "&cert=" + File("other.pem") + "&key=" + File("other.key")), Health::kDown);
}

}  // namespace
}  // namespace weir::storage::redis
