// The store over servers that fail: killed, frozen, restarted, read-only, locked, behind a bouncer, behind TLS.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "storage/postgres/postgres_store.h"
#include "storage/postgres/test_support.h"

namespace weir::storage::postgres {
namespace {

using namespace conformance;

// Whether plans of each way are answered.
bool Serves(Store& store) {
  const Limit bucket = BucketOf(1'000'000), window = WindowOf(1'000'000);
  const auto ok = [&](Op op, const std::vector<Item>& items) {
    return Do(store, op, items, kStart).status == PlanStatus::kOk;
  };
  return ok(Op::kCheck, {ItemOf(bucket, "b", "serves")}) && ok(Op::kPeek, {ItemOf(bucket, "b", "serves")}) &&
         ok(Op::kCheck, {ItemOf(bucket, "b", "serves"), ItemOf(window, "w", "serves")});
}

TEST(PostgresFaults, KilledAndStartedAgainItServesWithoutARestart) {
  PostgresProcess server;
  PostgresStoreOptions options = TestOptions(server.url());
  options.durability = Durability::kSync;
  const auto store = MakeStore(options);
  const Limit limit = BucketOf(1'000'000);
  const Item item = ItemOf(limit, "r", "a");
  std::atomic<int> served = 0, unavailable = 0;
  std::vector<std::jthread> clients;
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        (Check(*store, {item}).status == PlanStatus::kOk ? served : unavailable)++;
        std::this_thread::yield();
      }
    });
  }
  for (std::uint64_t round = 1; round <= 2; ++round) {
    const int before = served;
    EXPECT_TRUE(EventuallyIs([&] { return served > before + 20; }));
    server.Kill();
    EXPECT_TRUE(GoesDown(*store));
    const int failed = unavailable;
    EXPECT_TRUE(EventuallyIs([&] { return unavailable > failed + 20; })) << "refused, not waiting";
    server.Start();
    EXPECT_TRUE(BecomesUp(*store));
  }
  const int before = served;
  EXPECT_TRUE(EventuallyIs([&] { return served > before + 20; }));
  clients.clear();  // stops and joins them
  // Each that was answered is counted; of those that were lost at most one a client and kill may be.
  const auto used = static_cast<int>(UsedNow(*store, item, kStart));
  EXPECT_GE(used, served);
  EXPECT_LE(used, served + 4);
}

TEST(PostgresFaults, AServerOutlivesTheThreadThatStartedIt) {
  std::unique_ptr<PostgresProcess> server;
  std::thread([&] { server = std::make_unique<PostgresProcess>(); }).join();
  for (int i = 0; i < 20; ++i) ASSERT_EQ(server->Number("SELECT 1::bigint"), 1);
}

TEST(PostgresFaults, AnUnloggedTableIsEmptyAfterACrashAndSaysSo) {
  PostgresProcess server;
  PostgresStoreOptions options = TestOptions(server.url());
  options.durability = Durability::kUnlogged;
  const auto store = MakeStore(options);
  const Limit limit = WindowOf(10);
  EXPECT_TRUE(Check(*store, {ItemOf(limit, "r", "a", 7)}).admitted);
  EXPECT_EQ(store->DetailedStats().emptied, 0u);
  server.Kill();
  EXPECT_TRUE(GoesDown(*store));
  server.Start();
  EXPECT_TRUE(BecomesUp(*store));
  EXPECT_TRUE(Serves(*store));
  EXPECT_EQ(UsedNow(*store, ItemOf(limit, "r", "a"), kStart), 0u);
  EXPECT_EQ(store->DetailedStats().emptied, 1u);
}

TEST(PostgresFaults, AFastShutdownIsNoticedAndRecoveredFrom) {
  PostgresProcess server;
  const auto store = MakeStore(TestOptions(server.url()));
  const Limit limit = WindowOf(10);
  EXPECT_TRUE(Check(*store, {ItemOf(limit, "r", "a", 7)}).admitted);
  server.StopFast();
  EXPECT_TRUE(GoesDown(*store));
  EXPECT_EQ(Check(*store, {ItemOf(limit, "r", "a")}).status, PlanStatus::kUnavailable);
  server.Start();
  EXPECT_TRUE(BecomesUp(*store));
  EXPECT_EQ(UsedNow(*store, ItemOf(limit, "r", "a"), kStart), 7u);
}

TEST(PostgresFaults, AServerThatHangsIsGivenUpAndTakenBack) {
  PostgresProcess server;
  PostgresStoreOptions options = TestOptions(server.url());
  options.command_timeout = 200 * kMillisecond;
  options.connect_timeout = kSecond;
  options.breaker.failures_to_open = 3;
  const auto store = MakeStore(options);
  ASSERT_TRUE(EventuallyIs([&] { return Serves(*store); }));
  const Limit limit = BucketOf(1000), window = WindowOf(1000);
  server.Freeze();
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(Check(*store, {ItemOf(limit, "r", "a"), ItemOf(window, "w", "a")}).status, PlanStatus::kUnavailable);
  }
  EXPECT_TRUE(GoesDown(*store));
  EXPECT_GE(store->DetailedStats().timeouts, 3u);
  EXPECT_EQ(Check(*store, {ItemOf(limit, "r", "a")}).status, PlanStatus::kUnavailable);
  EXPECT_GE(store->DetailedStats().refused_breaker, 1u) << "the later ones did not wait";
  server.Thaw();
  EXPECT_TRUE(EventuallyIs([&] { return Serves(*store); }));
}

TEST(PostgresFaults, OneStuckRowHoldsNobodyElse) {
  PostgresProcess& server = SharedServer();
  const auto store = MakeStore(TestOptions(server.url(), "stuck"));
  const Limit limit = WindowOf(100);
  std::vector<Item> items;
  std::vector<std::string> subjects;
  for (int i = 0; i < 8; ++i) subjects.push_back(std::to_string(i));
  for (const std::string& subject : subjects) items.push_back(ItemOf(limit, "r", subject));
  for (const Item& item : items) ASSERT_TRUE(Check(*store, {item}).admitted);
  const io::postgres::Cancel cancel;
  const auto session = io::postgres::Session::Connect({.url = server.url(), .connect_timeout = kMinute}, cancel);
  ASSERT_TRUE(session);
  io::postgres::Params key;
  key.Add(items[3].key);
  const Nanos soon = io::SteadyNow() + kMinute;
  ASSERT_TRUE((*session)->Run({"BEGIN", {}}, soon));
  ASSERT_TRUE((*session)->Run({"SELECT 1 FROM stuck.state WHERE key = $1 FOR UPDATE", std::move(key)}, soon));

  std::vector<std::thread> clients;
  std::vector<PlanStatus> statuses(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    clients.emplace_back([&, i] { statuses[i] = Check(*store, {items[i]}).status; });
  }
  for (std::thread& client : clients) client.join();
  for (std::size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(statuses[i], i == 3 ? PlanStatus::kUnavailable : PlanStatus::kOk) << i;
  }
  EXPECT_EQ(store->DetailedStats().errors_locked, 1u);
  EXPECT_EQ(store->GetHealth(), Health::kUp) << "a locked row tells nothing about the server";
  ASSERT_TRUE((*session)->Run({"ROLLBACK", {}}, soon));
  EXPECT_TRUE(Check(*store, {items[3]}).admitted);
}

TEST(PostgresFaults, AServerThatMayNotBeWrittenIsDownUntilItMay) {
  PostgresProcess server;
  const auto store = MakeStore(TestOptions(server.url()));
  ASSERT_TRUE(Serves(*store));
  ASSERT_TRUE(server.Query("ALTER SYSTEM SET default_transaction_read_only = on"));
  ASSERT_TRUE(server.Query("SELECT pg_reload_conf()"));
  EXPECT_TRUE(EventuallyIs([&] {
    Serves(*store);
    return store->GetHealth() == Health::kDown;
  }));
  std::ofstream(server.data() + "/postgresql.auto.conf") << "";
  ASSERT_TRUE(server.Query("SELECT pg_reload_conf()"));
  EXPECT_TRUE(BecomesUp(*store));
  EXPECT_TRUE(Serves(*store));
}

TEST(PostgresFaults, TheNextHostIsTakenWhenTheFirstIsGone) {
  PostgresProcess first, second;
  const std::string hosts = "127.0.0.1:" + std::to_string(first.port()) + ",127.0.0.1:" + std::to_string(second.port());
  const auto store = MakeStore(TestOptions("postgresql://weir@" + hosts + "/postgres"));
  const Limit limit = WindowOf(10);
  EXPECT_TRUE(Check(*store, {ItemOf(limit, "r", "a")}).admitted);
  EXPECT_EQ(first.Number("SELECT count(*) FROM weir.state"), 1);
  first.Kill();
  EXPECT_TRUE(EventuallyIs([&] { return Check(*store, {ItemOf(limit, "r", "a")}).admitted; }));
  EXPECT_EQ(second.Number("SELECT count(*) FROM weir.state"), 1) << "its schema was made on the way";
}

// ---- a bouncer ------------------------------------------------------------------------------------------------------

TEST(PostgresBouncer, PlansOfEveryWayPassThroughTransactionMode) {
  PostgresProcess server;
  BouncerProcess bouncer(server);
  PostgresStoreOptions options = TestOptions(bouncer.url());
  options.connections = 6;  // over 3 of the bouncer
  const auto one = MakeStore(options), other = MakeStore(options);
  ASSERT_TRUE(BecomesUp(*one) && BecomesUp(*other));
  const Limit window = WindowOf(100), bucket = BucketOf(1000);
  std::atomic<int> admitted = 0;
  std::vector<std::thread> threads;
  for (PostgresStore* store : {one.get(), other.get(), one.get(), other.get()}) {
    threads.emplace_back([&, store] {
      for (int i = 0; i < 60; ++i) {
        const Answered both = Check(*store, {ItemOf(window, "w", "a"), ItemOf(bucket, "b", "a")});
        EXPECT_EQ(both.status, PlanStatus::kOk);
        admitted += both.admitted ? 1 : 0;
        EXPECT_EQ(Check(*store, {ItemOf(bucket, "b", std::to_string(i))}).status, PlanStatus::kOk);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted, 100);
  // Nothing that is set for a transaction stays behind in a connection of the bouncer.
  const io::postgres::Cancel cancel;
  for (int i = 0; i < 6; ++i) {
    const auto session = io::postgres::Session::Connect({.url = bouncer.url(), .connect_timeout = kMinute}, cancel);
    ASSERT_TRUE(session);
    const auto rows = (*session)->Run({"SELECT current_setting('lock_timeout') || current_setting('synchronous_commit')"
                                       " || current_setting('idle_in_transaction_session_timeout')",
                                       {}},
                                      io::SteadyNow() + kMinute);
    ASSERT_TRUE(rows);
    EXPECT_EQ(rows->Bytes(0, 0), "0on0");
  }
  bouncer.Kill();
  EXPECT_TRUE(GoesDown(*one));
  bouncer.Start();
  EXPECT_TRUE(BecomesUp(*one));
  EXPECT_TRUE(Serves(*one));
}

// ---- TLS ------------------------------------------------------------------------------------------------------------

class PostgresTls : public testing::Test {
 protected:
  void SetUp() override {
    // An authority, a certificate of it for localhost, one for the role weir, and an authority that knows nothing of
    // them.
    const std::string script = "cd " + files_.path() + R"( && {
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout server.key -out server.csr
      printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' > names
      openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=weir -keyout client.key -out client.csr
      openssl x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out client.pem
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=weir -keyout other.key -out other.pem
      chmod 600 *.key
    } >/dev/null 2>&1)";
    ASSERT_EQ(std::system(script.c_str()), 0) << "openssl makes the certificates";
    if (IsRoot()) ASSERT_EQ(chown((files_.path() + "/server.key").c_str(), kNobody, kNobody), 0);
  }
  std::string File(const std::string& name) const { return files_.path() + "/" + name; }
  Health HealthOf(const PostgresProcess& server, const std::string& query) const {
    const auto store = MakeStore(TestOptions("postgresql://weir@localhost:" + std::to_string(server.port()) +
                                             "/postgres?hostaddr=127.0.0.1&" + query));
    if (store->GetHealth() == Health::kDown) return Health::kDown;
    EXPECT_TRUE(BecomesUp(*store));
    EXPECT_TRUE(Serves(*store));
    return store->GetHealth();
  }

  const TemporaryDirectory files_;
};

TEST_F(PostgresTls, TheServerIsVerifiedAndTheClientShowsItsCertificate) {
  const PostgresProcess server({"ssl = on", "ssl_cert_file = '" + File("server.pem") + "'",
                                "ssl_key_file = '" + File("server.key") + "'",
                                "ssl_ca_file = '" + File("ca.pem") + "'"});
  const std::string ca = "sslmode=verify-full&sslrootcert=" + File("ca.pem");
  EXPECT_EQ(HealthOf(server, ca), Health::kUp);
  EXPECT_EQ(HealthOf(server, "sslmode=verify-full&sslrootcert=" + File("other.pem")), Health::kDown);
  // From now on only over TLS, and only with a certificate of the role.
  std::ofstream(server.data() + "/pg_hba.conf") << "local all all trust\nhostssl all all 127.0.0.1/32 cert\n";
  ASSERT_TRUE(server.Query("SELECT pg_reload_conf()"));
  EXPECT_TRUE(EventuallyIs([&] { return HealthOf(server, ca) == Health::kDown; })) << "no certificate";
  EXPECT_EQ(HealthOf(server, ca + "&sslcert=" + File("client.pem") + "&sslkey=" + File("client.key")), Health::kUp);
  EXPECT_EQ(HealthOf(server, ca + "&sslcert=" + File("other.pem") + "&sslkey=" + File("other.key")), Health::kDown);
}

}  // namespace
}  // namespace weir::storage::postgres
