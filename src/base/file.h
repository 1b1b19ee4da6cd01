// The one way in which weir opens files: regular files only, without ever waiting. Whoever can put a pipe or a device
// where a file is expected cannot hold a thread for ever by it, and a link under a temporary name leads nowhere.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "weir/result.h"

namespace weir {

// An open file, closed at the end.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() { Close(); }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  void Close();

 private:
  int fd_ = -1;
};

// Follows links, as mounted configuration is made of them. kNotFound: no such file. kInvalidArgument: a directory, a
// pipe, a device, a socket. kUnavailable: the system refused, with its reason.
Result<FileDescriptor> OpenRegularFile(const std::string& path);

// Whether OpenRegularFile() would open it: for libraries that open files themselves.
Result<> CheckRegularFile(const std::string& path);

// The whole file. One that is longer than `most` bytes: the first most + 1, so that the caller sees it.
Result<std::string> ReadRegularFile(const std::string& path, std::size_t most);

// A new, empty file for writing that is this user's alone (0600). What lies under the name, left by a process that died
// or put there, is removed first, never opened or followed; a directory stays, and is an error (kUnavailable). One
// writer at a time for a name.
Result<FileDescriptor> CreateTemporaryFile(const std::string& path);

// Puts `text` at `path`, whole or not at all, also after a power failure: written to `path` + ".tmp", synced, renamed.
Result<> ReplaceFile(const std::string& path, std::string_view text);

// Whether files can be saved at `path` by writing another one beside it (`temporary`) and renaming that: tries it, up
// to the renaming. kInvalidArgument: never, while things are as they are (what is there is no regular file, the folder
// is missing, is none, or may not be written to).
Result<> CheckReplaceableFile(const std::string& path, const std::string& temporary);

}  // namespace weir
