#include "server/file_watch.h"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/clock.h"

namespace weir::server {

Result<std::unique_ptr<FileWatch>> FileWatch::Create(const std::string& path) {
  const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) return Fail(ErrorCode::kUnavailable, fmt::format("cannot watch '{}': {}", path, std::strerror(errno)));
  std::string directory = std::filesystem::path(path).parent_path().string();
  if (directory.empty()) directory = ".";
  if (inotify_add_watch(fd, directory.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE) < 0) {
    const int why = errno;
    close(fd);
    return Fail(why == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
                fmt::format("cannot watch '{}': {}", directory, std::strerror(why)));
  }
  return std::unique_ptr<FileWatch>(new FileWatch(path, fd));
}

FileWatch::FileWatch(std::string path, int fd) : path_(std::move(path)), fd_(fd), seen_(Look()) {}

FileWatch::~FileWatch() { close(fd_); }

FileWatch::Identity FileWatch::Look() const {
  struct stat info{};
  if (stat(path_.c_str(), &info) != 0) return {};
  return {.inode = info.st_ino,
          .device = info.st_dev,
          .size = static_cast<std::uint64_t>(info.st_size),
          .modified_ns = info.st_mtim.tv_sec * kSecond + info.st_mtim.tv_nsec};
}

bool FileWatch::Changed() {
  alignas(inotify_event) std::array<char, 4096> events{};
  while (read(fd_, events.data(), events.size()) > 0) {
  }
  const Identity now = Look();
  // A file that is gone for a moment is in the middle of being replaced: wait for the new one.
  if (now == Identity{} || now == seen_) return false;
  seen_ = now;
  return true;
}

}  // namespace weir::server
