// What a command that asks a server comes to: a value, or a complaint with the exit code that goes with it.
#pragma once

#include <expected>
#include <string>

#include "weir/result.h"

namespace weir::cli::admin {

// Documented in the manual: scripts rely on them.
inline constexpr int kDone = 0;
inline constexpr int kRefused = 1;      // the server, or the person who was asked, said no
inline constexpr int kUsage = 2;        // wrong usage, or something of this machine's (a file) is wrong
inline constexpr int kUnreachable = 3;  // no server answered, or it cannot do its work at the moment

struct Complaint {
  int exit_code = kUsage;
  std::string text = {};  // what people are told; several lines are good
  std::string json = {};  // the server's problem document; empty: it came from no server
};

template <typename T = void>
using Outcome = std::expected<T, Complaint>;

inline std::unexpected<Complaint> Misused(std::string text) {
  return std::unexpected(Complaint{.exit_code = kUsage, .text = std::move(text)});
}

// Of a file or an address of this machine's user.
inline std::unexpected<Complaint> Misused(const Error& error) { return Misused(error.message); }

// Tells it on standard error, as JSON where that was asked for and there is any, and gives the exit code.
int Complain(const Complaint& complaint, bool json);

// Asks on the terminal whether to go on. Without a terminal nobody can say yes: then `yes` (--yes) must be set.
Outcome<> Confirm(const std::string& question, bool yes);

}  // namespace weir::cli::admin
