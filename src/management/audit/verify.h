// Checks a whole audit log: that every record is as it was written, none is missing, none was added, and the end is
// where it was signed to be. Reads only; a daemon may be writing meanwhile.
//
// What it cannot find: that somebody with the signing key wrote everything anew, or put a whole older copy of the
// directory in its place. For that, keep checkpoints and the public key where that somebody cannot write.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "weir/result.h"

namespace weir::management::audit {

struct VerifyOptions {
  std::string public_key{};                // 32 bytes, from elsewhere; empty: the one in the directory
  std::vector<std::string> checkpoints{};  // lines that were kept elsewhere: the log must have passed them
};

// The first thing that is wrong.
struct Fault {
  std::string file{};      // "000000000001.ndjson"
  std::uint64_t line = 0;  // from 1; 0: the file as a whole
  std::uint64_t seq = 0;   // of the record; 0: of none
  std::string what{};      // "its hash is not that of its text: it was edited"
};

struct Report {
  std::uint64_t first = 0, last = 0;  // numbers of the records that are there and right; 0: none
  std::uint64_t records = 0;
  std::uint64_t files = 0;
  std::uint64_t removed = 0;      // records up to this one were removed by retention, as was signed
  std::uint64_t checkpoints = 0;  // that the log passed, here and from elsewhere
  // Whole records behind the signed end, and bytes of an unfinished one: what was being written. weir makes good for
  // them when it starts next.
  std::uint64_t unsigned_records = 0;
  std::uint64_t unfinished_bytes = 0;
  Nanos signed_at = 0;  // when the end was signed; 0: not told
  std::optional<Fault> fault{};
};

// kNotFound: there is no log. kUnavailable: it cannot be read.
Result<Report> Verify(const std::string& directory, const VerifyOptions& options = {});

}  // namespace weir::management::audit
