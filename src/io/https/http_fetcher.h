// A client that nobody waits for: answers come to a callback, on a thread of its own. For what daemons ask of others:
// keys of issuers, webhooks, feeds.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "io/https/http_exchange.h"
#include "weir/result.h"

namespace weir::io {

// Thread-safe. Several exchanges run at once, so that a slow server holds up nobody else.
class HttpFetcher {
 public:
  struct Bounds {
    std::size_t at_once = 8;
    std::size_t most_waiting = 256;  // beside those that run
  };
  // Called once for each request, on the fetcher's thread, which it must not hold up; errors as HttpClient has them.
  // kResourceExhausted also: too many wait (then on the caller's thread). kUnavailable also: the fetcher ended.
  using Done = std::function<void(Result<HttpReply>)>;

  explicit HttpFetcher(HttpOptions options) : HttpFetcher(std::move(options), Bounds()) {}
  HttpFetcher(HttpOptions options, Bounds bounds);
  // What has no answer yet gets kUnavailable. Not from a callback.
  ~HttpFetcher();
  HttpFetcher(const HttpFetcher&) = delete;
  HttpFetcher& operator=(const HttpFetcher&) = delete;

  // Never waits.
  void Send(HttpRequest request, Done done);

 private:
  struct Asked {
    HttpRequest request;
    Done done;
  };
  struct Loop;  // what the thread alone has

  bool Take(Asked* next, bool* ended);
  void Run();

  const HttpOptions options_;
  const Bounds bounds_;
  std::mutex mutex_;  // guards what follows
  std::deque<Asked> waiting_;
  bool ended_ = false;
  std::unique_ptr<Loop> loop_;
  std::thread thread_;
};

}  // namespace weir::io
