#include "io/stream_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <string>
#include <utility>
#include <vector>

#include "io/io_thread.h"

namespace weir::io {
namespace {

// A listening socket whose connections the test accepts, reads and closes by hand.
class Peer {
 public:
  Peer() : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  ~Peer() {
    CloseConnection();
    close(listener_);
  }
  void Accept() {
    CloseConnection();
    connection_ = accept(listener_, nullptr, nullptr);
    ASSERT_GE(connection_, 0);
  }
  std::string Read(std::size_t size) const {
    std::string text(size, '\0');
    EXPECT_EQ(recv(connection_, text.data(), size, MSG_WAITALL), static_cast<ssize_t>(size));
    return text;
  }
  void Write(std::string_view text) const {
    EXPECT_EQ(send(connection_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  void CloseConnection() {
    if (connection_ >= 0) close(connection_);
    connection_ = -1;
  }
  std::uint16_t port() const { return port_; }

 private:
  int listener_;
  int connection_ = -1;
  std::uint16_t port_ = 0;
};

// Greets with "hello", is ready when "ok" comes, refuses "bad".
class Greeter final : public StreamClient {
 public:
  Greeter(IoThread& thread, std::uint16_t port)
      : StreamClient(thread.context(),
                     {.endpoint = {.host = "127.0.0.1", .port = port},
                      .connect_timeout = 60 * kSecond,
                      .backoff_min = 1,
                      .backoff_max = 1,
                      .jitter = [] { return 0.5; }},
                     nullptr) {}

  std::promise<void> ready;
  struct Loss {
    bool was_ready;
    std::string why;
  };
  std::promise<Loss> lost;

 private:
  void OnOpen() override {
    stream_output() += "hello";
    FlushStream();
  }
  Result<> OnBytes(std::string_view bytes) override {
    text_ += bytes;
    if (text_ == "bad") return Fail(ErrorCode::kDataLoss, "that is no greeting");
    if (text_ != "ok") return {};
    SetReady();
    ready.set_value();
    return {};
  }
  void OnClosed(bool was_ready, std::string_view why) override {
    text_.clear();
    lost.set_value({was_ready, std::string(why)});
    ready = {};
  }
  std::string text_;
};

class StreamClientTest : public testing::Test {
 protected:
  void SetUp() override {
    thread_.Start();
    thread_.Post([this] { client_->StartStream(); });
  }
  void TearDown() override {
    thread_.Stop([this] { client_->StopStream(); });
  }
  Peer peer_;
  IoThread thread_;
  std::shared_ptr<Greeter> client_ = std::make_shared<Greeter>(thread_, peer_.port());
};

TEST_F(StreamClientTest, GreetsAndConnectsAgainAfterALoss) {
  auto ready = client_->ready.get_future();
  auto lost = client_->lost.get_future();
  peer_.Accept();
  EXPECT_EQ(peer_.Read(5), "hello");
  peer_.Write("ok");
  ready.get();
  peer_.CloseConnection();
  const Greeter::Loss loss = lost.get();
  EXPECT_TRUE(loss.was_ready);
  EXPECT_FALSE(loss.why.empty());
  peer_.Accept();
  EXPECT_EQ(peer_.Read(5), "hello");
}

TEST_F(StreamClientTest, DropsAPeerThatItsProtocolRefuses) {
  auto lost = client_->lost.get_future();
  peer_.Accept();
  peer_.Write("bad");
  const Greeter::Loss loss = lost.get();
  EXPECT_FALSE(loss.was_ready);
  EXPECT_EQ(loss.why, "that is no greeting");
}

TEST(TlsClient, NamesTheFileThatCannotBeUsed) {
  const auto tls = MakeTlsClient({.ca_file = "/nonexistent/ca.pem"});
  ASSERT_FALSE(tls);
  EXPECT_EQ(tls.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(tls.error().message.find("/nonexistent/ca.pem"), std::string::npos);
}

}  // namespace
}  // namespace weir::io
