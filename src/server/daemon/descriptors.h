// How many files and sockets this process may have open.
#pragma once

#include <cstdint>

namespace weir::server {

// Raises the soft limit (RLIMIT_NOFILE) to the hard one; returns what it then is.
std::uint64_t RaiseDescriptorLimit();

}  // namespace weir::server
