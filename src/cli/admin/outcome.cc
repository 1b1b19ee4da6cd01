#include "cli/admin/outcome.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string_view>

namespace weir::cli::admin {

int Complain(const Complaint& complaint, bool json) {
  if (json && !complaint.json.empty()) {
    fmt::print(stderr, "{}\n", complaint.json);
  } else {
    fmt::print(stderr, "weir: {}\n", complaint.text);
  }
  return complaint.exit_code;
}

Outcome<> Confirm(const std::string& question, bool yes) {
  if (yes) return {};
  if (isatty(STDIN_FILENO) != 1) {
    return Misused(question + "? Nobody can be asked without a terminal: say so with --yes");
  }
  fmt::print(stderr, "{}? [y/N] ", question);
  std::array<char, 64> line{};
  const bool read = std::fgets(line.data(), static_cast<int>(line.size()), stdin) != nullptr;
  const std::string_view answer(line.data());
  if (read && (answer == "y\n" || answer == "Y\n" || answer == "yes\n")) return {};
  return std::unexpected(Complaint{.exit_code = kRefused, .text = "nothing was done"});
}

}  // namespace weir::cli::admin
