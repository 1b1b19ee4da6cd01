#include "net/server.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <future>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "net/server_fixture.h"

namespace {
std::atomic<bool> refuse_accepts{false};
std::atomic<int> refused_accepts{0};
}  // namespace

// In front of libc's, which is a sanitizer's where there is one: the process has no descriptors left when a test says
// so.
extern "C" int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  static const auto real = reinterpret_cast<decltype(&accept4)>(dlsym(RTLD_NEXT, "accept4"));
  if (!refuse_accepts) return real(fd, address, size, flags);
  ++refused_accepts;
  errno = EMFILE;
  return -1;
}

namespace weir::net {
namespace {

TEST_F(ServerTest, AnswersOverTcpBothFamiliesAndUnixSockets) {
  for (const std::string& address : {std::string("127.0.0.1:0"), std::string("[::1]:0"), "unix:" + Path("s.sock"),
                                     "unix:@weir_test_" + std::to_string(getpid())}) {
    Start(address);
    TestClient client = Client();
    ASSERT_TRUE(client.connected()) << address;
    client.Send("hello\n");
    EXPECT_EQ(client.ReceiveLine(), "hello\n") << address;
    server_.reset();
    EXPECT_TRUE(client.AtEnd());
  }
}

TEST_F(ServerTest, TellsThePeersAddress) {
  const std::pair<std::string, std::string> cases[] = {
      {"127.0.0.1:0", "127.0.0.1\n"}, {"[::1]:0", "::1\n"}, {"unix:" + Path("s.sock"), "\n"}};
  for (const auto& [address, peer] : cases) {
    Start(address);
    TestClient client = Client();
    client.Send("peer\n");
    EXPECT_EQ(client.ReceiveLine(), peer);
  }
  // An IPv4 client of a dual-stack listener is an IPv4 client.
  Start("[::]:0");
  const std::string port = server_->addresses()[0].substr(server_->addresses()[0].rfind(':'));
  TestClient client("127.0.0.1" + port);
  client.Send("peer\n");
  EXPECT_EQ(client.ReceiveLine(), "127.0.0.1\n");
}

TEST_F(ServerTest, ShowsUnconsumedInputAgain) {
  Start();
  TestClient client = Client();
  for (const char c : std::string_view("byte by byte\nand ano")) client.Send({&c, 1});
  EXPECT_EQ(client.ReceiveLine(), "byte by byte\n");
  client.Send("ther\n");
  EXPECT_EQ(client.ReceiveLine(), "and another\n");
}

TEST_F(ServerTest, AnswersAPipelineInOrder) {
  Start();
  TestClient client = Client();
  std::string lines;
  for (int i = 0; i < 10'000; ++i) lines += "line " + std::to_string(i) + "\n";
  auto sender = std::async(std::launch::async, [&] { return client.Send(lines); });
  EXPECT_EQ(client.Receive(lines.size()), lines);
  EXPECT_TRUE(sender.get());
}

TEST_F(ServerTest, ServesManyConnectionsOnManyLoops) {
  options_.threads = 3;
  Start();
  std::vector<TestClient> clients;
  for (int i = 0; i < 300; ++i) clients.push_back(Client());
  for (std::size_t i = 0; i < clients.size(); ++i) ASSERT_TRUE(clients[i].Send(std::to_string(i) + "\n"));
  for (std::size_t i = 0; i < clients.size(); ++i) EXPECT_EQ(clients[i].ReceiveLine(), std::to_string(i) + "\n");
  // What is sent is counted after it is sent.
  ServerStats stats = server_->Stats();
  for (; stats.bytes_out < stats.bytes_in; stats = server_->Stats()) std::this_thread::yield();
  EXPECT_EQ(stats.accepted, 300U);
  EXPECT_EQ(stats.open, 300U);
  EXPECT_EQ(stats.bytes_in, stats.bytes_out);
}

TEST_F(ServerTest, SharesAUnixSocketAmongLoops) {
  options_.threads = 3;
  Start("unix:" + Path("s.sock"));
  std::vector<TestClient> clients;
  for (int i = 0; i < 30; ++i) clients.push_back(Client());
  for (TestClient& client : clients) client.Send("x\n");
  for (TestClient& client : clients) EXPECT_EQ(client.ReceiveLine(), "x\n");
}

TEST_F(ServerTest, TakesOverInheritedSockets) {
  options_.threads = 2;
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof(any)), 0);

  ListenerOptions not_listening = Listener("127.0.0.1:1");
  not_listening.inherited_fds = {fd};
  const auto refused = TryStart(std::move(not_listening));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);

  ASSERT_EQ(listen(fd, 16), 0);
  ListenerOptions listener = Listener("127.0.0.1:1");
  listener.inherited_fds = {fd};
  Start(std::move(listener));
  EXPECT_TRUE(server_->addresses()[0].starts_with("127.0.0.1:"));
  EXPECT_NE(server_->addresses()[0], "127.0.0.1:1");
  std::vector<TestClient> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(Client());
  for (TestClient& client : clients) client.Send("x\n");
  for (TestClient& client : clients) EXPECT_EQ(client.ReceiveLine(), "x\n");
}

TEST_F(ServerTest, KeepsToItsMostConnectionsAndServesAgainWhenSomeHaveGone) {
  options_.max_connections = 2;
  Start();
  TestClient first = Client(), second = Client();
  first.Send("1\n");
  second.Send("2\n");
  EXPECT_EQ(first.ReceiveLine(), "1\n");
  EXPECT_EQ(second.ReceiveLine(), "2\n");
  TestClient third = Client();
  EXPECT_TRUE(third.AtEnd());
  EXPECT_EQ(server_->Stats().refused, 1U);
  EXPECT_EQ(server_->Stats().open, 2U);
  first.Close();
  stage_.WaitForDestroyed(1);
  // The session goes a moment before its place is free.
  std::string answer;
  for (int i = 0; i < 1'000 && answer.empty(); ++i) {
    TestClient fourth = Client();
    if (fourth.Send("4\n")) answer = fourth.ReceiveLine();
  }
  EXPECT_EQ(answer, "4\n");
}

TEST_F(ServerTest, OneListenerHasPlacesOfItsOwnWhenAllOthersAreTaken) {
  options_.max_connections = 2;
  std::vector<ListenerOptions> listeners;
  listeners.push_back(Listener("127.0.0.1:0"));
  listeners.push_back(Listener("127.0.0.1:0"));
  listeners[1].reserve = 1;
  server_ = Server::Start(options_, std::move(listeners)).value();
  const auto answers = [](TestClient& client) { return client.Send("x\n") && client.ReceiveLine() == "x\n"; };
  TestClient first = Client(), second = Client();
  EXPECT_TRUE(answers(first));
  EXPECT_TRUE(answers(second));
  EXPECT_TRUE(Client().AtEnd());
  TestClient admin(server_->addresses()[1]);
  EXPECT_TRUE(answers(admin));
  EXPECT_TRUE(TestClient(server_->addresses()[1]).AtEnd()) << "its places are bounded too";
  EXPECT_TRUE(Client().AtEnd());
  EXPECT_EQ(server_->Stats().refused, 3U);
}

TEST_F(ServerTest, ClosesAConnectionWhoseRequestComesInDrops) {
  options_.idle_timeout_ms = 60;
  Start();
  TestClient client = Client();
  // Never silent for as long as the timeout, and never a whole line.
  pollfd ended{.fd = client.fd(), .events = POLLIN | POLLRDHUP, .revents = 0};
  int drops = 0;
  while (drops < 10'000 && poll(&ended, 1, 10) == 0 && client.Send("a")) ++drops;
  EXPECT_LT(drops, 10'000);
  EXPECT_TRUE(client.AtEnd());
  EXPECT_EQ(server_->Stats().idle_closed, 1U);
}

TEST_F(ServerTest, ClosesIdleConnections) {
  options_.idle_timeout_ms = 30;
  Start();
  TestClient client = Client();
  client.Send("x\n");
  EXPECT_EQ(client.ReceiveLine(), "x\n");
  EXPECT_EQ(client.ReceiveLine(), "bye\n");  // the session's last word
  EXPECT_TRUE(client.AtEnd());
  EXPECT_EQ(server_->Stats().idle_closed, 1U);
}

TEST_F(ServerTest, WakesASession) {
  for (const std::uint32_t idle_ms : {0U, 160U}) {
    options_.idle_timeout_ms = idle_ms;
    Start();
    TestClient client = Client();
    client.Send("wake 100000\nwake 5\nwake 1000\n");
    EXPECT_EQ(client.Receive(35), "wake 100000\nwake 5\nwake 1000\nwoken\n") << idle_ms;
    client.Send("wake 1\n");
    EXPECT_EQ(client.Receive(13), "wake 1\nwoken\n") << idle_ms;
    server_.reset();
  }
}

// Wheels turn once a second here; one that wakes often is woken often before another that waits for some of them.
TEST_F(ServerTest, WakesASessionBetweenTheTicksOfItsWheel) {
  options_.idle_timeout_ms = 0;
  Start();
  TestClient patient = Client();
  patient.Send("wake 10000\n");
  EXPECT_EQ(patient.ReceiveLine(), "wake 10000\n");
  TestClient client = Client();
  for (int i = 0; i < 40; ++i) {
    client.Send("wake 10\n");
    ASSERT_EQ(client.Receive(14), "wake 10\nwoken\n");
  }
  char byte = 0;
  EXPECT_EQ(recv(patient.fd(), &byte, 1, MSG_DONTWAIT), -1) << "40 times 10 ms took 10 seconds";
}

TEST_F(ServerTest, ForgetsToWakeAConnectionThatHasGone) {
  Start();
  for (int i = 0; i < 20; ++i) {
    TestClient client = Client();
    client.Send("wake 10000\nwake 1000\nwake 20\n");
    client.Receive(30);
  }
  TestClient client = Client();
  client.Send("wake 30\n");
  EXPECT_EQ(client.Receive(14), "wake 30\nwoken\n");
}

TEST_F(ServerTest, ASessionMayKeepItsSilentPeer) {
  options_.idle_timeout_ms = 30;
  stage_.patience = 2;
  Start();
  TestClient client = Client();
  EXPECT_EQ(client.ReceiveLine(), "still there?\n");
  EXPECT_EQ(client.ReceiveLine(), "still there?\n");
  EXPECT_EQ(client.ReceiveLine(), "bye\n");
  EXPECT_TRUE(client.AtEnd());
}

// Not by a limit on the process: sanitizers need descriptors as well, and report what they cannot look at without.
TEST_F(ServerTest, SurvivesRunningOutOfDescriptors) {
  Start();
  refused_accepts = 0;
  refuse_accepts = true;
  std::vector<TestClient> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(Client());
  for (TestClient& client : clients) {
    ASSERT_TRUE(client.connected()) << "the kernel's queue takes it";
    client.Send("x\n");
  }
  while (refused_accepts == 0) std::this_thread::yield();
  refuse_accepts = false;
  for (TestClient& client : clients) EXPECT_EQ(client.ReceiveLine(), "x\n");
  EXPECT_LT(refused_accepts, 100) << "it rests in between";
}

// ---- binding ----

TEST_F(ServerTest, AnAddressInUseIsAnErrorThatNamesIt) {
  for (const unsigned threads : {1U, 2U}) {
    options_.threads = threads;
    Start();
    const std::string address = server_->addresses()[0];
    for (const unsigned others : {1U, 2U}) {
      options_.threads = others;
      const auto again = TryStart(Listener(address));
      ASSERT_FALSE(again) << threads << " and " << others;
      EXPECT_EQ(again.error().code, ErrorCode::kAlreadyExists);
      EXPECT_NE(again.error().message.find(address), std::string::npos) << again.error().message;
      EXPECT_NE(again.error().message.find("'lines'"), std::string::npos) << again.error().message;
    }
    server_.reset();
    Start(address);
  }
}

TEST_F(ServerTest, WhenOneListenerFailsNoneServes) {
  Start();
  const std::string taken = server_->addresses()[0];
  const std::string path = "unix:" + Path("first.sock");
  std::vector<ListenerOptions> listeners;
  listeners.push_back(Listener(path));
  listeners.push_back(Listener(taken));
  EXPECT_FALSE(Server::Start(options_, std::move(listeners)));
  EXPECT_FALSE(TestClient(path).connected());
  EXPECT_FALSE(std::filesystem::exists(Path("first.sock")));
}

TEST_F(ServerTest, BindErrorsSayWhy) {
  const std::pair<std::string, ErrorCode> cases[] = {
      {"nonsense", ErrorCode::kInvalidArgument},
      {"192.0.2.1:0", ErrorCode::kInvalidArgument},  // nobody's address
      {"unix:" + Path("no/such/directory"), ErrorCode::kInvalidArgument},
      {"off", ErrorCode::kInvalidArgument},
  };
  for (const auto& [address, code] : cases) {
    const auto server = TryStart(Listener(address));
    ASSERT_FALSE(server) << address;
    EXPECT_EQ(server.error().code, code) << address << ": " << server.error().message;
  }
}

TEST_F(ServerTest, AUnixSocketHasTheModeThatIsWrittenWhateverTheUmask) {
  const mode_t before = umask(0);
  for (const std::uint32_t mode : {0600U, 0660U, 0666U}) {
    ListenerOptions listener = Listener("unix:" + Path("mode.sock"));
    listener.mode = mode;
    Start(std::move(listener));
    struct stat status{};
    EXPECT_EQ(stat(Path("mode.sock").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, mode);
    server_.reset();
    umask(0077);
  }
  umask(before);
}

TEST_F(ServerTest, ReplacesAStaleUnixSocketFileButNotALiveOneOrAFile) {
  const std::string address = "unix:" + Path("s.sock");
  {
    // Left behind by a process that was killed.
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    std::ranges::copy(Path("s.sock"), where.sun_path);
    ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&where), sizeof(where)), 0);
    close(fd);
  }
  ASSERT_TRUE(std::filesystem::exists(Path("s.sock")));
  Start(address);
  const auto again = TryStart(Listener(address));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kAlreadyExists);
  TestClient client = Client();
  client.Send("still here\n");
  EXPECT_EQ(client.ReceiveLine(), "still here\n");
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(Path("s.sock"))) << "removed with the server";

  close(open(Path("file").c_str(), O_CREAT | O_WRONLY, 0600));
  const auto over_file = TryStart(Listener("unix:" + Path("file")));
  ASSERT_FALSE(over_file);
  EXPECT_EQ(over_file.error().code, ErrorCode::kAlreadyExists);
  EXPECT_TRUE(std::filesystem::exists(Path("file")));
}

// ---- draining ----

TEST_F(ServerTest, DrainClosesIdleConnectionsAndStopsListening) {
  options_.threads = 2;
  Start("unix:" + Path("s.sock"));
  std::vector<TestClient> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(Client());
  for (TestClient& client : clients) client.Send("x\n");
  for (TestClient& client : clients) EXPECT_EQ(client.ReceiveLine(), "x\n");
  EXPECT_EQ(server_->Drain(20'000), 0U);
  for (TestClient& client : clients) EXPECT_TRUE(client.AtEnd());
  EXPECT_EQ(server_->Stats().open, 0U);
  EXPECT_FALSE(Client().connected());
  EXPECT_FALSE(std::filesystem::exists(Path("s.sock")));
}

TEST_F(ServerTest, DrainAnswersWhatHasArrived) {
  Start();
  std::vector<TestClient> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(Client());
  for (TestClient& client : clients) client.Send("first\n");
  for (TestClient& client : clients) EXPECT_EQ(client.ReceiveLine(), "first\n");
  for (TestClient& client : clients) client.Send("second\n");
  EXPECT_EQ(server_->Drain(20'000), 0U);
  for (TestClient& client : clients) EXPECT_EQ(client.ReceiveAll(), "second\n");
}

TEST_F(ServerTest, DrainAnswersThoseWhoWaitToBeAccepted) {
  options_.threads = 2;
  Start("unix:" + Path("s.sock"));
  std::vector<TestClient> first;
  std::vector<Stage::Shared> shared;
  for (std::size_t i = 0; i < 2; ++i) {
    first.push_back(Client());
    first.back().Send("share\n");
    shared.push_back(stage_.WaitForShared(i));
  }
  // Both loops are busy while others come.
  std::latch go(1);
  for (const Stage::Shared& one : shared) one.connection->Post([&go] { go.wait(); });
  std::vector<TestClient> waiting;
  for (int i = 0; i < 20; ++i) waiting.push_back(Client());
  for (TestClient& client : waiting) client.Send("late\n");
  auto drained = std::async(std::launch::async, [&] { return server_->Drain(20'000); });
  while (std::filesystem::exists(Path("s.sock"))) std::this_thread::yield();
  go.count_down();
  for (TestClient& client : waiting) EXPECT_EQ(client.ReceiveAll(), "late\n");
  EXPECT_EQ(drained.get(), 0U);
}

// A client that is reset while it has an answer to read may never look at it.
TEST_F(ServerTest, DrainDoesNotResetWhoIsStillSending) {
  Start();
  TestClient client = Client();
  client.Send("x\n");
  pollfd answered{.fd = client.fd(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(poll(&answered, 1, 20'000), 1);
  auto drained = std::async(std::launch::async, [&] { return server_->Drain(20'000); });
  pollfd ended{.fd = client.fd(), .events = POLLRDHUP, .revents = 0};
  ASSERT_EQ(poll(&ended, 1, 20'000), 1);
  client.Send("more\n");
  int error = 0;
  socklen_t size = sizeof(error);
  ASSERT_EQ(getsockopt(client.fd(), SOL_SOCKET, SO_ERROR, &error, &size), 0);
  EXPECT_EQ(error, 0) << "which it has been told once it is reset";
  EXPECT_EQ(client.ReceiveLine(), "x\n");
  EXPECT_TRUE(client.AtEnd());
  EXPECT_EQ(drained.get(), 0U);
}

TEST_F(ServerTest, DrainWaitsForWhatIsInHand) {
  Start();
  TestClient client = Client();
  client.Send("pause\n");
  EXPECT_EQ(client.ReceiveLine(), "pause\n");
  const Stage::Shared paused = stage_.WaitForShared(0);
  auto drained = std::async(std::launch::async, [&] { return server_->Drain(20'000); });
  // The line after the pause is answered before the connection goes.
  paused.connection->Post([&paused] {
    paused.session->Continue("late\n");
    paused.connection->CloseAfterFlush();
  });
  EXPECT_EQ(client.ReceiveAll(), "late\n");
  EXPECT_EQ(drained.get(), 0U);
}

TEST_F(ServerTest, DrainClosesTheRestWhenTimeIsUpAndCountsThem) {
  Start();
  stage_.ignore_drain = true;
  TestClient stubborn = Client();
  stubborn.Send("x\n");
  EXPECT_EQ(stubborn.ReceiveLine(), "x\n");
  EXPECT_EQ(server_->Drain(20), 1U);
  EXPECT_TRUE(stubborn.AtEnd());
  EXPECT_EQ(server_->Drain(20), 0U) << "once more does no harm";
}

}  // namespace
}  // namespace weir::net
