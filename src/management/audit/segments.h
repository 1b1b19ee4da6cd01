// The files of an audit log, and reading their lines.
//
//   000000000001.ndjson  records 1 and following; the next file is named after its first record
//   head                 signed: where the chain ends (head_file.h)
//   checkpoints.ndjson   signed: where it passed, and what retention removed
//   signing.key (0600), signing.pub, lock
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "weir/result.h"

namespace weir::management::audit {

struct Segment {
  std::uint64_t first = 1;  // the number of its first record
  std::string path;
};

std::string SegmentPath(const std::string& directory, std::uint64_t first);
inline std::string CheckpointsPath(const std::string& directory) { return directory + "/checkpoints.ndjson"; }
inline std::string HeadPath(const std::string& directory) { return directory + "/head"; }

// In the order of their records. kNotFound: there is no such directory.
Result<std::vector<Segment>> ListSegments(const std::string& directory);

Result<std::uint64_t> SizeOf(const FileDescriptor& file);

// The lines of a file from a place on. Bounded: a line of more than `most` bytes is given cut, as unfinished.
class LineReader {
 public:
  // Reads up to `end`.
  LineReader(const FileDescriptor& file, std::uint64_t begin, std::uint64_t end, std::size_t most);

  struct Line {
    std::string_view text{};   // without its newline; until the next call
    std::uint64_t offset = 0;  // where it begins
    bool finished = false;     // a newline followed
  };
  // False: there are no more. kUnavailable: the system refused.
  Result<bool> Next(Line* line);

 private:
  Result<bool> Fill();
  const FileDescriptor& file_;
  std::uint64_t at_;  // where the next read begins
  const std::uint64_t end_;
  const std::size_t most_;
  std::string buffer_;
  std::size_t used_ = 0;  // of buffer_: given out
};

// The same backwards: the last line first.
class ReverseLineReader {
 public:
  // `end` is where a line begins, or the end of the file.
  ReverseLineReader(const FileDescriptor& file, std::uint64_t end, std::size_t most);
  Result<bool> Next(LineReader::Line* line);

 private:
  const FileDescriptor& file_;
  std::uint64_t at_;  // where buffer_ begins in the file
  const std::size_t most_;
  std::string buffer_;  // what is not given out yet; ends behind the next line's newline
  std::string line_;
};

}  // namespace weir::management::audit
