// The seam between gRPC and what is served over it: a Service answers messages and knows nothing of HTTP/2; the session
// (session.h) carries them and knows nothing of rate limits. Everything here runs on the loop of one connection, except
// where it says otherwise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "net/session.h"
#include "storage/store.h"

namespace weir::rls {

// https://grpc.io/docs/guides/status-codes/
enum class Code : std::uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kUnauthenticated = 16,
};
struct Status {
  Code code = Code::kOk;
  std::string message = {};  // UTF-8; percent-encoded by the session
};

// One question with one answer. What `request`, `peer` and `request_id` point to lives until the call is answered.
struct UnaryCall {
  std::uint32_t method = 0;       // Method::number
  std::string_view request{};     // the message, decompressed
  std::string_view peer{};        // net::Connection::peer_address()
  std::string_view request_id{};  // of the metadata x-weir-request-id (engine/request_id.h); empty: none
  std::string response{};         // the message; only when `status` is kOk
  Status status{};
};

// The server's side of a call that streams. Lives until its StreamHandler has been told OnClose, or has called Finish.
class Stream {
 public:
  virtual ~Stream() = default;
  // Queues a message; it goes out as the client's flow control allows.
  virtual void Send(std::string message) = 0;
  // Bytes queued and not yet taken by the client: a handler stops sending what can be left out while this is large.
  virtual std::size_t queued() const = 0;
  // Ends the call, after what is queued. No more is delivered to the handler, which is destroyed soon after.
  virtual void Finish(Status status) = 0;
  // For calls from elsewhere: Share()->Post(). A handler must not be touched there once it was told OnClose.
  virtual net::Connection& connection() = 0;
};
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  virtual void OnMessage(std::string_view message) = 0;
  virtual void OnHalfClose() = 0;  // the client will send no more
  virtual void OnClose() = 0;      // the client or the connection has gone: nothing can be sent any more
};

struct Method {
  std::string path;          // "/grpc.health.v1.Health/Check"
  std::uint32_t number = 0;  // for the service's own use
  // Set: the call streams (either way or both), and this makes its handler. Empty: unary.
  std::function<std::unique_ptr<StreamHandler>(Stream& stream)> open = {};
};

// One for the whole server; thread-safe; outlives every session.
class Service {
 public:
  virtual ~Service() = default;
  // "grpc.health.v1.Health".
  virtual std::string_view name() const = 0;
  // The paths of all are distinct.
  virtual const std::vector<Method>& methods() const = 0;
  // Answers unary calls that were read together, of one connection or several (question_batch.h), as one batch. True:
  // all are answered. False: `done->Done()` follows, on any thread; the calls and `done` live until then.
  [[nodiscard]] virtual bool Answer(std::span<UnaryCall> calls, storage::Completion* done) = 0;
  // Answers also those who bring no token (GrpcOptions::tokens): health.
  virtual bool open_to_all() const { return false; }
  // The serialised google.protobuf.FileDescriptorProto of the files that define it, each after those that it imports:
  // what server reflection tells. May be empty.
  virtual std::span<const std::string> file_descriptors() const { return {}; }
};

}  // namespace weir::rls
