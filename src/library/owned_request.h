// A request that keeps all that it points to: for calls that end after their caller has gone on.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weir/request.h"

namespace weir::library {

class OwnedRequest {
 public:
  explicit OwnedRequest(const Request& request) : request_(request) {
    std::size_t bytes = 0;
    const auto measure = [&](std::string_view text) { bytes += text.size(); };
    for (const auto field : kTexts) measure(request.*field);
    for (const auto list : kLists) {
      for (const Attribute& attribute : request.*list) {
        measure(attribute.name);
        measure(attribute.value);
      }
    }
    text_.reserve(bytes);  // so that it stays where it is
    pairs_.reserve(request.headers.size() + request.attributes.size());
    for (const auto field : kTexts) request_.*field = Keep(request.*field);
    for (const auto list : kLists) {
      const std::size_t begin = pairs_.size();
      for (const Attribute& attribute : request.*list) {
        pairs_.push_back({.name = Keep(attribute.name), .value = Keep(attribute.value)});
      }
      request_.*list = std::span(pairs_).subspan(begin);
    }
  }
  OwnedRequest(const OwnedRequest&) = delete;
  OwnedRequest& operator=(const OwnedRequest&) = delete;

  const Request& request() const { return request_; }

 private:
  using Text = std::string_view Request::*;
  using List = std::span<const Attribute> Request::*;
  static constexpr std::array kTexts = {&Request::domain, &Request::peer_ip,   &Request::user,    &Request::tenant,
                                        &Request::tier,   &Request::api_key,   &Request::country, &Request::method,
                                        &Request::path,   &Request::request_id};
  static constexpr std::array kLists = {&Request::headers, &Request::attributes};
  // A new field that borrows belongs into one of the lists.
  static_assert(sizeof(Request) == (kTexts.size() * sizeof(std::string_view)) +
                                       (kLists.size() * sizeof(std::span<const Attribute>)) + sizeof(Request::cost));

  std::string_view Keep(std::string_view text) {
    const std::size_t begin = text_.size();
    text_ += text;
    return std::string_view(text_).substr(begin);
  }

  std::string text_;
  std::vector<Attribute> pairs_;
  Request request_;
};

}  // namespace weir::library
