// Strings that live as long as the process: names of rules and policies, which decisions carry after the configuration
// that named them is gone. For names from configuration only, never for anything that a client sends.
#pragma once

#include <string_view>

namespace weir {

// Equal strings give the same view. Thread-safe.
std::string_view Intern(std::string_view text);

}  // namespace weir
