// What `weir __complete` offers: commands and flags of the command line itself, and names from the server, which is
// given little time. Scripts of the shells call it; it prints a candidate a line and complains of nothing.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace weir::cli::admin {

// `words`: those behind `weir`, the last of them the one that is being typed (perhaps empty). Candidates begin with it.
// None: the shell may offer files.
std::vector<std::string> Candidates(const CLI::App& app, const std::vector<std::string>& words);

// Whether a shell takes the text for itself, without quotes: names that somebody else chose must not be able to say
// more.
bool IsPlainWord(std::string_view text);

}  // namespace weir::cli::admin
