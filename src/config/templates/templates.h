// The documents of templates/, built into the library.
#pragma once

#include <string_view>

namespace weir::config {

// The text of templates/NAME.yaml; empty when there is none. Lives as long as the process.
std::string_view TemplateText(std::string_view name);

}  // namespace weir::config
