// TLS over buffers: OpenSSL with memory BIOs, so that encrypted and plain connections share one read loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "net/server.h"
#include "weir/result.h"

struct ssl_ctx_st;
struct ssl_st;
struct x509_st;

namespace weir::net {

// Certificates, key and protocol choices of one listener. Thread-safe after Create.
class TlsContext {
 public:
  // TLS 1.2 and above. kInvalidArgument names the file that cannot be used and why.
  static Result<std::unique_ptr<TlsContext>> Create(const TlsOptions& options);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  ssl_ctx_st* get() const { return context_; }
  // ALPN in wire form: each name behind its length. Empty: no ALPN.
  std::string_view protocols() const { return protocols_; }

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
  std::string protocols_;
};

// One server-side TLS connection. Not thread-safe.
class TlsStream {
 public:
  static std::unique_ptr<TlsStream> Accept(std::shared_ptr<const TlsContext> context);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  enum class Progress : std::uint8_t { kOpen, kClosedByPeer, kFailed };

  // Takes bytes from the wire; appends what they mean to `plain`, and what must be answered (handshake, alerts) to
  // `wire`. After kFailed only `wire` is still to be sent.
  Progress Receive(std::string_view cipher, std::string& plain, std::string& wire);
  // Encrypts `plain` to `wire`. False: the stream is broken.
  bool Send(std::string_view plain, std::string& wire);
  // Says goodbye.
  void Shutdown(std::string& wire);
  bool established() const;
  // Of the client, once its chain is verified; nullptr: none was asked for or brought.
  const x509_st* peer_certificate() const;

 private:
  TlsStream(ssl_st* ssl, std::shared_ptr<const TlsContext> context) : context_(std::move(context)), ssl_(ssl) {}
  void TakeOutgoing(std::string& wire);
  const std::shared_ptr<const TlsContext> context_;  // the handshake asks it, also when there is a newer one
  ssl_st* ssl_;
};

}  // namespace weir::net
