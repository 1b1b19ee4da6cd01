// What a rule says of responses, compiled: decisions point to it.
#pragma once

#include <absl/functional/function_ref.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "weir/config.h"
#include "weir/decision.h"

namespace weir::config {

// Tells what is wrong and below which field. A field of a header that passes can be sent as it is.
void CheckDenial(const DenialConfig& denial,
                 absl::FunctionRef<void(std::string_view below, std::string message)> fault);

// Of a denial without faults. nullptr when there is nothing out of the ordinary. It can be read for a minute after the
// last owner is gone (base/linger.h).
std::shared_ptr<const ResponseStyle> CompileStyle(const HeaderNames& names, const std::optional<DenialConfig>& denial);

}  // namespace weir::config
