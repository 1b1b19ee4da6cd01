// Server-sent events as they come in pieces. Each event's data is given once, without its fields' names.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace weir::cli::admin {

class EventReader {
 public:
  // An event of more bytes ends the stream.
  static constexpr std::size_t kMostBytes = 4U << 20U;

  explicit EventReader(std::function<bool(std::string_view data)> visit) : visit_(std::move(visit)) {}

  // False: `visit` wants no more, or an event is too long.
  bool Take(std::string_view part);
  // What has come and was no whole event: an error's body, for one.
  const std::string& rest() const { return buffer_; }

 private:
  std::function<bool(std::string_view)> visit_;
  std::string buffer_;
};

}  // namespace weir::cli::admin
