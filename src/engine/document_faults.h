// What is wrong with a document beyond what its reader sees: what only its languages know (Lua, regular expressions,
// keys in PEM), and what compiling finds.
#pragma once

#include <string>
#include <string_view>

#include "config/source/load.h"

namespace weir::engine {

// Adds to `loaded.faults` all of these, each with its line in `text`, where it has one; nothing when there are errors
// already. `text`: what `loaded` was read from, `file` its name. Slow (compiles all); thread-safe.
void AddCompileFaults(std::string_view text, const std::string& file, config::LoadedDocument& loaded);

}  // namespace weir::engine
