#include "config/compile/response_style.h"

#include <string>
#include <utility>

#include "base/linger.h"

namespace weir::config {
namespace {

struct Stored {
  HeaderNames names;
  std::string message;
  std::string lines;
  ResponseStyle style;
};

}  // namespace

std::shared_ptr<const ResponseStyle> CompileStyle(const HeaderNames& names, const std::optional<DenialConfig>& denial) {
  const DenialConfig written = denial.value_or(DenialConfig{});
  if (names == HeaderNames{} && written == DenialConfig{}) return nullptr;
  auto stored = std::make_unique<Stored>();
  stored->names = names;
  stored->message = written.message.value_or("");
  for (const auto& [name, value] : written.headers) stored->lines += name + ": " + value + "\r\n";
  const HeaderNames& kept = stored->names;
  stored->style = {.names = {.policy = kept.policy,
                             .ratelimit = kept.ratelimit,
                             .limit = kept.limit,
                             .remaining = kept.remaining,
                             .reset = kept.reset,
                             .x_limit = kept.x_limit,
                             .x_remaining = kept.x_remaining,
                             .x_reset = kept.x_reset,
                             .retry_after = kept.retry_after},
                   .denial = denial.has_value(),
                   .denial_status = static_cast<std::uint16_t>(written.status.value_or(0)),
                   .denial_body = written.body,
                   .denial_message = stored->message,
                   .denial_headers = stored->lines};
  const ResponseStyle* const style = &stored->style;
  return {MakeLingering(std::move(stored)), style};
}

}  // namespace weir::config
