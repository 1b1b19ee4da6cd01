// A file of files: POSIX ustar, which every tar reads. Names are short and plain, sizes up to 8 GiB each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "weir/result.h"

namespace weir::management {

// 64 hexadecimal digits.
using DigestText = std::string;

class ArchiveWriter {
 public:
  // A new file of this user's alone. kAlreadyExists.
  static Result<ArchiveWriter> Create(const std::string& path);

  // `name`: of letters, digits, '.', '_', '-' and '/', at most 99 bytes. Returns the SHA-256 of what was put in.
  Result<DigestText> AddFile(const std::string& name, const std::string& path);
  Result<> AddText(const std::string& name, std::string_view text);
  // Nothing can be added after it; what is in it is on the disk.
  Result<> Finish();

 private:
  explicit ArchiveWriter(FileDescriptor file) : file_(std::move(file)) {}
  Result<> Begin(const std::string& name, std::uint64_t size);
  Result<> Pad(std::uint64_t size);
  FileDescriptor file_;
};

// Calls `visit` for each member in its order. What `visit` does not read of it is skipped.
class ArchiveReader {
 public:
  struct Member {
    std::string name;
    std::uint64_t size = 0;
  };
  // kNotFound; kInvalidArgument: no archive.
  static Result<ArchiveReader> Open(const std::string& path);

  // False: there are no more. kDataLoss: it is cut or damaged.
  Result<bool> Next(Member* member);
  // Into a new file of this user's alone; returns the SHA-256. After Next(), once.
  Result<DigestText> Extract(const std::string& path);
  // kResourceExhausted: it has more than `most` bytes.
  Result<std::string> Text(std::size_t most);

 private:
  explicit ArchiveReader(FileDescriptor file) : file_(std::move(file)) {}
  Result<> Read(char* to, std::size_t size);
  Result<> Take(const std::function<Result<>(std::string_view)>& visit);
  FileDescriptor file_;
  std::uint64_t size_ = 0;  // of the member; 0: it is read
  std::uint64_t padding_ = 0;
};

}  // namespace weir::management
