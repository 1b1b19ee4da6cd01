// Tells when one of some files was replaced or rewritten, or a file of one of some directories, or below them,
// came or went. Watches
// the directories in which they are, and those of every symbolic link on the way to them, so that editors and
// configuration managers that rename a new file over the old one, and Kubernetes' symlink swaps, are seen too.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "weir/result.h"

namespace weir::server {

class FileWatch {
 public:
  // kUnavailable when the kernel gives no watch; kNotFound when a directory to watch does not exist.
  static Result<std::unique_ptr<FileWatch>> Create(std::vector<std::string> paths);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  // Becomes readable when something happened in one of the directories.
  int fd() const { return fd_; }
  // Takes what happened; true when a file now is another one or has other content than at the last call, and none is
  // missing.
  bool Changed();
  // Watches these from now on; what they are now is what Changed() compares with. Where that cannot be, an error is
  // returned and the rest is watched.
  Result<> Follow(std::vector<std::string> paths);
  const std::vector<std::string>& paths() const { return paths_; }

 private:
  explicit FileWatch(int fd) : fd_(fd) {}
  struct Identity {
    std::uint64_t inode = 0, device = 0, size = 0;
    std::int64_t modified_ns = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };
  // By path; of a directory, of all that is in it. A missing file has no identity.
  using View = std::map<std::string, Identity>;
  static void Look(const std::string& path, View& view);
  View LookAtAll() const;
  bool IsComplete(const View& view) const;
  Result<> Renew();

  int fd_;
  std::vector<std::string> paths_;
  std::map<std::string, int> watches_;  // directory -> what inotify calls it
  View seen_;
};

}  // namespace weir::server
