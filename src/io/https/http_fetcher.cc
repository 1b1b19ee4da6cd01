#include "io/https/http_fetcher.h"

#include <list>
#include <utility>

#include "io/https/transfer.h"

namespace weir::io {

struct HttpFetcher::Loop {
  struct Running {
    Transfer transfer;
    Done done;
  };
  Loop() : multi(curl_multi_init()) {}
  ~Loop() {
    if (multi != nullptr) curl_multi_cleanup(multi);
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void Begin(const HttpOptions& options, Asked asked) {
    Running& one = running.emplace_back();
    one.done = std::move(asked.done);
    auto ready = one.transfer.Prepare(options, std::move(asked.request));
    if (ready && (multi == nullptr || curl_multi_add_handle(multi, one.transfer.handle()) != CURLM_OK)) {
      ready = Fail(ErrorCode::kResourceExhausted, "no memory for a connection");
    }
    if (ready) return;
    const Done done = std::move(one.done);
    running.pop_back();
    done(std::unexpected(ready.error()));
  }

  void FinishDone() {
    int left = 0;
    while (const CURLMsg* const message = curl_multi_info_read(multi, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      CURL* const handle = message->easy_handle;
      const CURLcode code = message->data.result;  // the message is gone with its handle
      for (auto one = running.begin(); one != running.end(); ++one) {
        if (one->transfer.handle() != handle) continue;
        curl_multi_remove_handle(multi, handle);
        const Done done = std::move(one->done);
        auto reply = one->transfer.Finish(code);
        running.erase(one);
        done(std::move(reply));
        break;
      }
    }
  }

  void Abandon() {
    while (!running.empty()) {
      curl_multi_remove_handle(multi, running.front().transfer.handle());
      const Done done = std::move(running.front().done);
      running.pop_front();
      done(Fail(ErrorCode::kUnavailable, "weir is stopping"));
    }
  }

  CURLM* const multi;
  std::list<Running> running;
};

HttpFetcher::HttpFetcher(HttpOptions options, Bounds bounds) : options_(std::move(options)), bounds_(bounds) {
  const Transfer first;  // starts the library before any thread uses it
  loop_ = std::make_unique<Loop>();
  thread_ = std::thread([this] { Run(); });
}

HttpFetcher::~HttpFetcher() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  if (loop_->multi != nullptr) curl_multi_wakeup(loop_->multi);
  thread_.join();
}

void HttpFetcher::Send(HttpRequest request, Done done) {
  {
    const std::lock_guard lock(mutex_);
    if (!ended_ && loop_->multi != nullptr && waiting_.size() < bounds_.most_waiting) {
      waiting_.push_back({std::move(request), std::move(done)});
      curl_multi_wakeup(loop_->multi);
      return;
    }
  }
  done(Fail(ErrorCode::kResourceExhausted, "too many requests to other servers wait already"));
}

bool HttpFetcher::Take(Asked* next, bool* ended) {
  const std::lock_guard lock(mutex_);
  *ended = ended_;
  if (waiting_.empty()) return false;
  *next = std::move(waiting_.front());
  waiting_.pop_front();
  return true;
}

void HttpFetcher::Run() {
  constexpr int kLongestWait = 1'000;  // ms; a wake-up ends it sooner
  Loop& loop = *loop_;
  if (loop.multi == nullptr) return;
  bool ended = false;
  Asked next;
  while (!ended) {
    while (loop.running.size() < bounds_.at_once && Take(&next, &ended) && !ended) {
      loop.Begin(options_, std::move(next));
      next = {};
    }
    if (ended) break;
    int active = 0;
    curl_multi_perform(loop.multi, &active);
    const std::size_t before = loop.running.size();
    loop.FinishDone();
    // A place that became free may be wanted.
    if (loop.running.size() == before) curl_multi_poll(loop.multi, nullptr, 0, kLongestWait, nullptr);
    const std::lock_guard lock(mutex_);
    ended = ended_;
  }
  loop.Abandon();
  if (next.done) next.done(Fail(ErrorCode::kUnavailable, "weir is stopping"));
  while (Take(&next, &ended)) next.done(Fail(ErrorCode::kUnavailable, "weir is stopping"));
}

}  // namespace weir::io
