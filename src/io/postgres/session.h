// A connection to PostgreSQL in its beginning: blocking, one statement at a time, for what is done before it serves
// (look at the schema, make it). Used on a thread of its own, for looking up a name blocks.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "io/postgres/values.h"
#include "weir/result.h"

namespace weir::io::postgres {

// Ends what waits, from another thread.
class Cancel {
 public:
  Cancel();
  ~Cancel();
  Cancel(const Cancel&) = delete;
  Cancel& operator=(const Cancel&) = delete;
  void Set();
  bool is_set() const { return set_; }
  int descriptor() const { return descriptor_; }  // readable once it is set

 private:
  int descriptor_;
  std::atomic<bool> set_{false};
};

struct SessionOptions {
  // As libpq takes it: postgresql://user:password@host:port,host:port/database?sslmode=verify-full&...
  // base/postgres_url.h says which are accepted. Hosts are tried in order, until one is writable.
  std::string url;
  Nanos connect_timeout = kSecond;  // for each host: TCP, TLS and login together; a name takes what it takes
};

// Not thread-safe. `cancel` outlives it.
class Session {
 public:
  struct Raw;

  // kUnavailable: no host could be entered; the message has the last one's reason, and no secret.
  static Result<std::unique_ptr<Session>> Connect(const SessionOptions& options, const Cancel& cancel);
  ~Session();

  // 150002 for 15.2; 0 when it is not known.
  int server_version() const;
  // One statement; its rows. kUnavailable: no answer by `deadline` (SteadyNow()'s clock) or the connection is lost.
  // kFailedPrecondition: the server refused; `error`, unless nullptr, has how.
  Result<Rows> Run(const Statement& statement, Nanos deadline, ServerError* error = nullptr);
  // Several statements in one text, without parameters; what they answer is dropped.
  Result<> RunScript(const std::string& text, Nanos deadline, ServerError* error = nullptr);

  // Hands the connection to its next owner within this folder; the session is then over.
  std::unique_ptr<Raw> Release();

 private:
  Session(std::unique_ptr<Raw> raw, const Cancel& cancel);
  Result<Rows> Finish(bool sent, Nanos deadline, ServerError* error);
  std::unique_ptr<Raw> raw_;
  const Cancel& cancel_;
};

}  // namespace weir::io::postgres
