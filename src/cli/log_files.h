// The lines of access logs: plain files, gzipped ones, standard input.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "weir/result.h"

namespace weir::cli {

inline constexpr std::size_t kLongestLogLine = 64
                                               << 10;  // bytes; of a longer line this much is given, the rest skipped

// Writes the next line, without its end, to *line. False: there is none.
using NextLine = std::function<bool(std::string* line)>;

// Several logs as one. Not thread-safe.
class LogFiles {
 public:
  // "-" is standard input, once. Files are put in the order of their first readable time, so that
  // `access.log access.log.1 access.log.2.gz` can be given in any order. kNotFound, kInvalidArgument (a directory, a
  // file given twice) or kUnavailable, with the file's name.
  static Result<LogFiles> Open(const std::vector<std::string>& names);
  ~LogFiles();
  LogFiles(LogFiles&&) noexcept;
  LogFiles& operator=(LogFiles&&) noexcept;

  bool Next(std::string* line);
  // Compressed bytes read so far, and in all; the latter is 0 with standard input, whose size nobody knows.
  std::uint64_t bytes_read() const;
  std::uint64_t bytes_in_all() const;
  // Why reading ended before the end of a file (a damaged .gz); empty: it did not.
  const std::string& fault() const;

 private:
  struct Parts;
  explicit LogFiles(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace weir::cli
