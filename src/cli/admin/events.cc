#include "cli/admin/events.h"

namespace weir::cli::admin {

bool EventReader::Take(std::string_view part) {
  buffer_ += part;
  while (true) {
    const std::size_t end = buffer_.find("\n\n");
    if (end == std::string::npos) return buffer_.size() <= kMostBytes;
    const std::string event = buffer_.substr(0, end + 1);
    buffer_.erase(0, end + 2);
    std::string data;
    for (std::size_t at = 0; at < event.size();) {
      const std::size_t stop = event.find('\n', at);
      std::string_view line = std::string_view(event).substr(at, stop - at);
      at = stop + 1;
      if (!line.starts_with("data:")) continue;
      line.remove_prefix(line.starts_with("data: ") ? 6 : 5);
      if (!data.empty()) data += '\n';
      data += line;
    }
    if (!data.empty() && !visit_(data)) return false;
  }
}

}  // namespace weir::cli::admin
