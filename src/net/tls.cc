#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/file.h"

namespace weir::net {
namespace {

std::string LastReason() {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return reason == nullptr ? "unknown reason" : reason;
}

std::unexpected<Error> Unusable(std::string_view what, const std::string& file) {
  return Fail(ErrorCode::kInvalidArgument,
              "tls: cannot use the " + std::string(what) + " '" + file + "': " + LastReason());
}

int ChooseProtocol(SSL*, const unsigned char** chosen, unsigned char* chosen_size, const unsigned char* offered,
                   unsigned offered_size, void* argument) {
  const std::string_view ours = static_cast<const TlsContext*>(argument)->protocols();
  unsigned char* selected = nullptr;
  const int verdict = SSL_select_next_proto(&selected, chosen_size, reinterpret_cast<const unsigned char*>(ours.data()),
                                            static_cast<unsigned>(ours.size()), offered, offered_size);
  *chosen = selected;
  // A client that offers only what we do not speak goes on without ALPN, as it would with a server that knows none.
  return verdict == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

}  // namespace

Result<std::unique_ptr<TlsContext>> TlsContext::Create(const TlsOptions& options) {
  ERR_clear_error();
  SSL_CTX* raw = SSL_CTX_new(TLS_server_method());
  if (raw == nullptr) return Fail(ErrorCode::kInternal, "tls: " + LastReason());
  std::unique_ptr<TlsContext> context(new TlsContext(raw));
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Idle connections hold no record buffers.
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  constexpr std::string_view kSession = "weir";
  SSL_CTX_set_session_id_context(raw, reinterpret_cast<const unsigned char*>(kSession.data()),
                                 static_cast<unsigned>(kSession.size()));

  for (const std::string& file : {options.certificate_file, options.key_file, options.client_ca_file}) {
    if (file.empty()) continue;
    if (auto checked = CheckRegularFile(file); !checked) {
      return Fail(ErrorCode::kInvalidArgument, "tls: " + checked.error().message);
    }
  }
  if (SSL_CTX_use_certificate_chain_file(raw, options.certificate_file.c_str()) != 1) {
    return Unusable("certificate", options.certificate_file);
  }
  if (SSL_CTX_use_PrivateKey_file(raw, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return Unusable("key", options.key_file);
  }
  if (SSL_CTX_check_private_key(raw) != 1) return Unusable("key", options.key_file);
  if (!options.client_ca_file.empty()) {
    if (SSL_CTX_load_verify_locations(raw, options.client_ca_file.c_str(), nullptr) != 1) {
      return Unusable("client authority", options.client_ca_file);
    }
    SSL_CTX_set_client_CA_list(raw, SSL_load_client_CA_file(options.client_ca_file.c_str()));
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  for (const std::string& protocol : options.alpn) {
    if (protocol.empty() || protocol.size() > 255) {
      return Fail(ErrorCode::kInvalidArgument, "tls: an ALPN name has 1 to 255 bytes");
    }
    context->protocols_.push_back(static_cast<char>(protocol.size()));
    context->protocols_ += protocol;
  }
  if (!context->protocols_.empty()) SSL_CTX_set_alpn_select_cb(raw, &ChooseProtocol, context.get());
  ERR_clear_error();
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

std::unique_ptr<TlsStream> TlsStream::Accept(std::shared_ptr<const TlsContext> context) {
  SSL* ssl = SSL_new(context->get());
  if (ssl == nullptr) return nullptr;
  std::unique_ptr<TlsStream> stream(new TlsStream(ssl, std::move(context)));
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  if (in == nullptr || out == nullptr) {
    BIO_free(in);
    BIO_free(out);
    return nullptr;
  }
  SSL_set_bio(ssl, in, out);
  SSL_set_accept_state(ssl);
  return stream;
}

TlsStream::~TlsStream() { SSL_free(ssl_); }

TlsStream::Progress TlsStream::Receive(std::string_view cipher, std::string& plain, std::string& wire) {
  ERR_clear_error();
  Progress progress = Progress::kOpen;
  std::array<char, 16'384> record;
  while (!cipher.empty() && progress == Progress::kOpen) {
    const int taken =
        BIO_write(SSL_get_rbio(ssl_), cipher.data(), static_cast<int>(std::min<std::size_t>(cipher.size(), 1 << 20)));
    if (taken <= 0) {
      progress = Progress::kFailed;
      break;
    }
    cipher.remove_prefix(static_cast<std::size_t>(taken));
    for (;;) {
      const int got = SSL_read(ssl_, record.data(), static_cast<int>(record.size()));
      if (got > 0) {
        plain.append(record.data(), static_cast<std::size_t>(got));
        continue;
      }
      const int why = SSL_get_error(ssl_, got);
      if (why == SSL_ERROR_ZERO_RETURN) progress = Progress::kClosedByPeer;
      if (why != SSL_ERROR_ZERO_RETURN && why != SSL_ERROR_WANT_READ) progress = Progress::kFailed;
      break;
    }
  }
  TakeOutgoing(wire);
  ERR_clear_error();
  return progress;
}

bool TlsStream::Send(std::string_view plain, std::string& wire) {
  ERR_clear_error();
  while (!plain.empty()) {
    const int sent = SSL_write(ssl_, plain.data(), static_cast<int>(std::min<std::size_t>(plain.size(), 1 << 20)));
    if (sent <= 0) {
      ERR_clear_error();
      return false;
    }
    plain.remove_prefix(static_cast<std::size_t>(sent));
  }
  TakeOutgoing(wire);
  return true;
}

void TlsStream::Shutdown(std::string& wire) {
  if (!established()) return;
  ERR_clear_error();
  SSL_shutdown(ssl_);
  TakeOutgoing(wire);
  ERR_clear_error();
}

const x509_st* TlsStream::peer_certificate() const {
  if (!established() || SSL_get_verify_mode(ssl_) == SSL_VERIFY_NONE || SSL_get_verify_result(ssl_) != X509_V_OK) {
    return nullptr;
  }
  return SSL_get0_peer_certificate(ssl_);
}

bool TlsStream::established() const { return SSL_is_init_finished(ssl_) == 1; }

void TlsStream::TakeOutgoing(std::string& wire) {
  BIO* out = SSL_get_wbio(ssl_);
  const std::size_t waiting = BIO_ctrl_pending(out);
  if (waiting == 0) return;
  const std::size_t before = wire.size();
  wire.resize(before + waiting);
  const int got = BIO_read(out, wire.data() + before, static_cast<int>(waiting));
  wire.resize(before + static_cast<std::size_t>(std::max(got, 0)));
}

}  // namespace weir::net
