#include "engine/counters/detail.h"

#include <algorithm>

namespace weir::engine {

std::string_view DetailOf(const config::DescriptorPath& path, std::span<const Attribute> entries,
                          DetailBuffer& buffer) {
  char* at = buffer.data();
  const auto put = [&](std::string_view text) {
    const auto room = static_cast<std::size_t>(buffer.data() + buffer.size() - at);
    at = std::ranges::transform(text.substr(0, room), at, [](char c) { return c >= ' ' && c <= '~' ? c : '?'; }).out;
  };
  for (std::size_t i = 0; i < entries.size() && i < path.steps.size(); ++i) {
    const config::DescriptorPath::Step& step = path.steps[i];
    if (i > 0) put(".");
    put(entries[i].name);
    const bool shown = path.detailed_metric || step.by_value || step.value_to_metric;
    const std::string_view value = !step.shared.empty() ? std::string_view(step.shared)
                                   : shown              ? entries[i].value
                                                        : std::string_view();
    if (value.empty()) continue;
    put("_");
    put(value);
  }
  return {buffer.data(), static_cast<std::size_t>(at - buffer.data())};
}

}  // namespace weir::engine
