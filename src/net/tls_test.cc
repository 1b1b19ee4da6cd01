#include "net/tls.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "net/server_fixture.h"
#include "net/test_certificates.h"

namespace weir::net {
namespace {

// A blocking TLS client.
class TlsClient {
 public:
  struct Options {
    std::string authority = {};
    const TestCertificate* certificate = nullptr;
    std::string alpn = {};  // wire form
    int max_version = 0;
  };
  TlsClient(const std::string& address, const Options& options)
      : socket_(address), context_(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free), ssl_(nullptr, &SSL_free) {
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_load_verify_locations(context_.get(), options.authority.c_str(), nullptr);
    if (options.certificate != nullptr) {
      SSL_CTX_use_certificate_file(context_.get(), options.certificate->certificate_file.c_str(), SSL_FILETYPE_PEM);
      SSL_CTX_use_PrivateKey_file(context_.get(), options.certificate->key_file.c_str(), SSL_FILETYPE_PEM);
    }
    if (options.max_version != 0) {
      // Otherwise the client refuses its own old version.
      SSL_CTX_set_security_level(context_.get(), 0);
      SSL_CTX_set_min_proto_version(context_.get(), 0);
      SSL_CTX_set_max_proto_version(context_.get(), options.max_version);
    }
    ssl_.reset(SSL_new(context_.get()));
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), "127.0.0.1");
    if (!options.alpn.empty()) {
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(options.alpn.data()),
                          static_cast<unsigned>(options.alpn.size()));
    }
    SSL_set_fd(ssl_.get(), socket_.fd());
    connected_ = SSL_connect(ssl_.get()) == 1;
    ERR_clear_error();
  }
  ~TlsClient() { ERR_clear_error(); }

  bool connected() const { return connected_; }
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const int sent =
          SSL_write(ssl_.get(), bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), 1 << 20)));
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  std::string Receive(std::size_t size) {
    std::string bytes(size, '\0');
    std::size_t got = 0;
    while (got < size) {
      const int n = SSL_read(ssl_.get(), bytes.data() + got, static_cast<int>(size - got));
      if (n <= 0) break;
      got += static_cast<std::size_t>(n);
    }
    bytes.resize(got);
    return bytes;
  }
  // The server said goodbye properly.
  bool AtOrderlyEnd() {
    char byte;
    const int got = SSL_read(ssl_.get(), &byte, 1);
    return got == 0 && SSL_get_error(ssl_.get(), got) == SSL_ERROR_ZERO_RETURN;
  }
  // What the server's alert says, once all that came before it is read.
  std::string Alert() {
    ERR_clear_error();
    char byte;
    while (SSL_read(ssl_.get(), &byte, 1) > 0) {
    }
    const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason == nullptr ? "" : reason;
  }
  TestClient& socket() { return socket_; }
  void Shutdown() { SSL_shutdown(ssl_.get()); }
  std::string Alpn() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  std::string Version() const { return SSL_get_version(ssl_.get()); }

 private:
  TestClient socket_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  bool connected_ = false;
};

// Answers after OnInput.
class LateSession final : public Session {
 public:
  explicit LateSession(Connection& connection) : connection_(connection) {}
  std::size_t OnInput(std::string_view input) override {
    text_ += input;
    return input.size();
  }
  void OnAnswer() override { connection_.output().append(std::exchange(text_, {})); }
  void OnDrain() override { connection_.CloseAfterFlush(); }

 private:
  Connection& connection_;
  std::string text_;
};

class TlsTest : public ServerTest {
 protected:
  using Role = TestCertificate::Role;

  TlsTest()
      : authority_(Path("ca"), "weir test authority", Role::kAuthority),
        server_certificate_(Path("server"), "localhost", Role::kServer, &authority_) {}

  void StartTls(const std::string& client_ca = "", std::vector<std::string> alpn = {}) {
    ListenerOptions listener = Listener("127.0.0.1:0");
    listener.tls = std::make_unique<TlsOptions>(
        TlsOptions{server_certificate_.certificate_file, server_certificate_.key_file, client_ca, std::move(alpn)});
    Start(std::move(listener));
  }
  TlsClient Connect(TlsClient::Options options = {}) {
    options.authority = authority_.certificate_file;
    return TlsClient(server_->addresses()[0], options);
  }

  TestCertificate authority_, server_certificate_;
};

TEST_F(TlsTest, AnswersOverTls12And13) {
  StartTls();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client = Connect({.max_version = version});
    ASSERT_TRUE(client.connected());
    EXPECT_EQ(client.Version(), version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
    for (int i = 0; i < 100; ++i) {
      client.Send("hello\n");
      ASSERT_EQ(client.Receive(6), "hello\n");
    }
  }
}

TEST_F(TlsTest, RefusesOldVersionsAndPlainClients) {
  StartTls();
  EXPECT_FALSE(Connect({.max_version = TLS1_1_VERSION}).connected());
  TestClient plain = Client();
  plain.Send("hello\n");
  EXPECT_EQ(plain.ReceiveAll().find("hello"), std::string::npos);
}

TEST_F(TlsTest, ChoosesTheFirstOfItsProtocolsThatTheClientOffers) {
  StartTls("", {"http/1.1", "h2"});
  const std::pair<std::string, std::string> cases[] = {
      {std::string("\x02h2\x08http/1.1"), "http/1.1"}, {"\x02h2", "h2"}, {"\x03xyz", ""}, {"", ""}};
  for (const auto& [offered, chosen] : cases) {
    TlsClient client = Connect({.alpn = offered});
    ASSERT_TRUE(client.connected());
    EXPECT_EQ(client.Alpn(), chosen);
  }
}

TEST_F(TlsTest, MutualTlsNeedsACertificateOfTheAuthority) {
  StartTls(authority_.certificate_file);
  const TestCertificate known(Path("client"), "client", Role::kClient, &authority_);
  const TestCertificate other_authority(Path("other"), "other authority", Role::kAuthority);
  const TestCertificate unknown(Path("stranger"), "stranger", Role::kClient, &other_authority);

  TlsClient client = Connect({.certificate = &known});
  ASSERT_TRUE(client.connected());
  client.Send("hello\n");
  EXPECT_EQ(client.Receive(6), "hello\n");

  // In TLS 1.3 a client learns of the refusal with its first read.
  for (const TestCertificate* certificate : {static_cast<const TestCertificate*>(nullptr), &unknown}) {
    TlsClient refused = Connect({.certificate = certificate});
    refused.Send("hello\n");
    EXPECT_EQ(refused.Receive(6), "");
  }
}

TEST_F(TlsTest, CarriesMuchBothWays) {
  StartTls();
  TlsClient client = Connect();
  ASSERT_TRUE(client.connected());
  const std::string line = std::string(300'000, 'a') + "\n";
  for (int i = 0; i < 10; ++i) {
    client.Send(line);
    ASSERT_EQ(client.Receive(line.size()), line);
  }
  client.Send("big 20000000\n");
  EXPECT_EQ(client.Receive(20'000'000), std::string(20'000'000, 'x'));
}

TEST_F(TlsTest, ClosesInOrder) {
  StartTls();
  TlsClient client = Connect();
  client.Send("1\nclose\n2\n");
  EXPECT_EQ(client.Receive(8), "1\nclose\n");
  EXPECT_TRUE(client.AtOrderlyEnd());

  TlsClient other = Connect();
  other.Send("1\npause\n2\n");
  EXPECT_EQ(other.Receive(8), "1\npause\n");
  other.Shutdown();
  const Stage::Shared paused = stage_.WaitForShared(0);
  paused.connection->Post([&paused] { paused.session->Continue("late\n"); });
  EXPECT_EQ(other.Receive(7), "late\n2\n");
}

TEST_F(TlsTest, DrainsConnectionsAlsoInTheMiddleOfAHandshake) {
  StartTls();
  TlsClient client = Connect();
  client.Send("1\n");
  EXPECT_EQ(client.Receive(2), "1\n");
  TestClient half_way = Client();
  half_way.Send(std::string_view("\x16\x03\x01", 3));
  EXPECT_EQ(server_->Drain(20'000), 0U);
  EXPECT_TRUE(client.AtOrderlyEnd());
  EXPECT_TRUE(half_way.AtEnd());
}

TEST_F(TlsTest, AHandshakeThatStallsIsClosed) {
  options_.idle_timeout_ms = 30;
  StartTls();
  TestClient client = Client();
  client.Send(std::string_view("\x16\x03\x01", 3));
  EXPECT_TRUE(client.AtEnd());
  EXPECT_EQ(server_->Stats().idle_closed, 1U);
}

TEST_F(TlsTest, ARenewedCertificateIsForConnectionsToCome) {
  StartTls();
  TlsClient old = Connect();
  ASSERT_TRUE(old.connected());
  const TestCertificate other_authority(Path("ca2"), "another authority", Role::kAuthority);
  const TestCertificate renewed(Path("server"), "localhost", Role::kServer, &other_authority);
  ASSERT_TRUE(Connect().connected()) << "not before it is told";
  ASSERT_TRUE(server_->ReloadTls());
  EXPECT_FALSE(Connect().connected()) << "the new one is of another authority";
  TlsClient fresh(server_->addresses()[0], {.authority = other_authority.certificate_file});
  ASSERT_TRUE(fresh.connected());
  for (TlsClient* client : {&old, &fresh}) {
    client->Send("x\n");
    EXPECT_EQ(client->Receive(2), "x\n");
  }

  // What cannot be used is told, and changes nothing.
  std::ofstream(renewed.certificate_file) << "not a certificate";
  const auto refused = server_->ReloadTls();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("listener 'lines': tls: cannot use the certificate"), std::string::npos)
      << refused.error().message;
  EXPECT_TRUE(TlsClient(server_->addresses()[0], {.authority = other_authority.certificate_file}).connected());
}

TEST_F(TlsTest, FilesThatCannotBeUsedAreNamed) {
  const std::string broken = Path("broken.pem");
  std::ofstream(broken) << "not a certificate";
  const TestCertificate other(Path("other"), "other", Role::kServer, &authority_);
  const auto& good = server_certificate_;
  const struct {
    TlsOptions options;
    std::string named;
  } cases[] = {
      {{Path("missing.pem"), good.key_file, "", {}}, Path("missing.pem")},
      {{broken, good.key_file, "", {}}, broken},
      {{good.certificate_file, Path("missing.key"), "", {}}, Path("missing.key")},
      {{good.certificate_file, broken, "", {}}, broken},
      {{good.certificate_file, other.key_file, "", {}}, other.key_file},
      {{good.certificate_file, good.key_file, broken, {}}, broken},
      {{good.certificate_file, good.key_file, "", {""}}, "ALPN"},
  };
  for (const auto& [options, named] : cases) {
    ListenerOptions listener = Listener("127.0.0.1:0");
    listener.tls = std::make_unique<TlsOptions>(options);
    const auto server = TryStart(std::move(listener));
    ASSERT_FALSE(server) << named;
    EXPECT_EQ(server.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(server.error().message.find(named), std::string::npos) << server.error().message;
  }
}

TEST_F(TlsTest, TellsOfABrokenRecordAlsoBehindARequest) {
  for (const bool late : {false, true}) {
    ListenerOptions listener = Listener("127.0.0.1:0");
    if (late) listener.sessions = [](Connection& connection) { return std::make_unique<LateSession>(connection); };
    listener.tls = std::make_unique<TlsOptions>(
        TlsOptions{server_certificate_.certificate_file, server_certificate_.key_file, "", {}});
    Start(std::move(listener));
    TlsClient client = Connect();
    ASSERT_TRUE(client.connected());
    // In one segment, so that they are read together.
    const int on = 1, off = 0;
    setsockopt(client.socket().fd(), IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
    client.Send("x\n");
    client.socket().Send(std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'z'));
    setsockopt(client.socket().fd(), IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
    EXPECT_NE(client.Alert().find("bad record mac"), std::string::npos) << "late: " << late;
  }
}

}  // namespace
}  // namespace weir::net
