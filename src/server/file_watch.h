// Tells when a file was replaced or rewritten. Watches its directory, so that editors and configuration managers that
// rename a new file over the old one, and Kubernetes' symlink swaps, are seen too.
#pragma once

#include <memory>
#include <string>

#include "weir/result.h"

namespace weir::server {

class FileWatch {
 public:
  // kUnavailable when the kernel gives no watch; kNotFound when the directory does not exist.
  static Result<std::unique_ptr<FileWatch>> Create(const std::string& path);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  // Becomes readable when something happened in the directory.
  int fd() const { return fd_; }
  // Takes what happened; true when the file itself now is another one or has other content than at the last call.
  bool Changed();

 private:
  FileWatch(std::string path, int fd);
  struct Identity {
    std::uint64_t inode = 0, device = 0, size = 0;
    std::int64_t modified_ns = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };
  Identity Look() const;

  std::string path_;
  int fd_;
  Identity seen_;
};

}  // namespace weir::server
