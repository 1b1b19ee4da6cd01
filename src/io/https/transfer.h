// One exchange on libcurl's "easy" handle: what both clients of this folder are made of. Not for others.
#pragma once

#include <curl/curl.h>

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "io/https/http_exchange.h"
#include "weir/result.h"

namespace weir::io {

// Stays where it is while the exchange runs: libcurl holds its address. One thread at a time.
class Transfer {
 public:
  Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // Makes the handle ready. `options` and `request` are copied as far as they are needed. Connections of former
  // exchanges of this handle are used again.
  Result<> Prepare(const HttpOptions& options, HttpRequest request);
  // Parts of the body as they come, in place of HttpReply::body; false ends the exchange. They are not bounded
  // together.
  void OnBody(std::function<bool(std::string_view)> visit) { visit_ = std::move(visit); }
  // Asked now and then, once a second at least; true ends the exchange.
  void OnTick(std::function<bool()> stopped) { stopped_ = std::move(stopped); }

  CURL* handle() { return handle_.get(); }
  // After libcurl is done with it.
  Result<HttpReply> Finish(CURLcode code);

 private:
  static std::size_t TakeBody(char* bytes, std::size_t one, std::size_t size, void* self);
  static std::size_t TakeHeader(char* bytes, std::size_t one, std::size_t size, void* self);
  static int Tick(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t);
  static curl_socket_t Open(void* self, curlsocktype purpose, curl_sockaddr* address);
  void SetBody();
  Result<> SetHeaders();
  std::string Reason(CURLcode code) const;

  struct FreeHandle {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  };
  struct FreeList {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };

  std::unique_ptr<CURL, FreeHandle> handle_;
  std::unique_ptr<curl_slist, FreeList> headers_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  HttpOptions options_;
  HttpRequest request_;
  HttpReply reply_;
  std::function<bool(std::string_view)> visit_;
  std::function<bool()> stopped_;
  std::size_t header_bytes_ = 0;
  std::string refused_address_;  // by `reach`
  bool too_large_ = false, ended_ = false;
};

}  // namespace weir::io
