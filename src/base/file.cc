#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace weir {
namespace {

std::unexpected<Error> Refused(const char* what, const std::string& path, int error) {
  const ErrorCode code = error == ENOENT || error == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kUnavailable;
  return Fail(code, std::string("cannot ") + what + " '" + path + "': " + std::strerror(error));
}

std::unexpected<Error> NotRegular(const std::string& path, mode_t mode) {
  const char* const kind = S_ISDIR(mode)    ? "a directory"
                           : S_ISFIFO(mode) ? "a pipe, not a regular file"
                           : S_ISSOCK(mode) ? "a socket, not a regular file"
                                            : "not a regular file";
  return Fail(ErrorCode::kInvalidArgument, "'" + path + "' is " + kind);
}

}  // namespace

void FileDescriptor::Close() {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

Result<FileDescriptor> OpenRegularFile(const std::string& path) {
  // Without O_NONBLOCK a pipe would wait for its writer.
  FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  const int error = errno;
  struct stat status{};
  if (!file.is_open()) {
    // A socket cannot be opened at all: say what it is.
    if (error == ENXIO && stat(path.c_str(), &status) == 0) return NotRegular(path, status.st_mode);
    if (error == ENOENT) return Fail(ErrorCode::kNotFound, "there is no file '" + path + "'");
    return Refused("open", path, error);
  }
  if (fstat(file.get(), &status) != 0) return Refused("look at", path, errno);
  if (!S_ISREG(status.st_mode)) return NotRegular(path, status.st_mode);
  return file;
}

Result<> CheckRegularFile(const std::string& path) {
  if (const auto file = OpenRegularFile(path); !file) return std::unexpected(file.error());
  return {};
}

Result<std::string> ReadRegularFile(const std::string& path, std::size_t most) {
  const auto file = OpenRegularFile(path);
  if (!file) return std::unexpected(file.error());
  std::string text;
  while (text.size() <= most) {
    constexpr std::size_t kAtOnce = 64 << 10;
    const std::size_t have = text.size();
    text.resize(have + std::min(kAtOnce, most + 1 - have));
    const ssize_t got = read(file->get(), text.data() + have, text.size() - have);
    const int error = errno;
    text.resize(have + (got > 0 ? static_cast<std::size_t>(got) : 0));
    if (got == 0) break;
    if (got < 0 && error != EINTR) return Refused("read", path, error);
  }
  return text;
}

Result<FileDescriptor> CreateTemporaryFile(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    const int error = errno;
    struct stat status{};
    if (lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
      return Fail(ErrorCode::kUnavailable, "cannot create '" + path + "': a directory is there");
    }
    return Refused("replace", path, error);
  }
  FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.is_open()) return Refused("create", path, errno);
  return file;
}

Result<> ReplaceFile(const std::string& path, std::string_view text) {
  const std::string temporary = path + ".tmp";
  auto file = CreateTemporaryFile(temporary);
  if (!file) return std::unexpected(file.error());
  const auto fail = [&](const char* what) {
    const int error = errno;
    unlink(temporary.c_str());
    return Refused(what, temporary, error);
  };
  while (!text.empty()) {
    const ssize_t written = write(file->get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = ENOSPC;
    if (written <= 0) return fail("write");
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (fsync(file->get()) != 0) return fail("sync");
  if (std::rename(temporary.c_str(), path.c_str()) != 0) return fail("rename");
  // Without it the rename itself may be forgotten by a power failure; some file systems cannot, and need not.
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const FileDescriptor directory(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.is_open()) (void)fsync(directory.get());
  return {};
}

Result<> CheckReplaceableFile(const std::string& path, const std::string& temporary) {
  if (path.empty()) return Fail(ErrorCode::kInvalidArgument, "the path is empty");
  struct stat status{};
  if (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) return NotRegular(path, status.st_mode);
  const auto created = CreateTemporaryFile(temporary);
  if (!created) return Fail(ErrorCode::kInvalidArgument, created.error().message);
  unlink(temporary.c_str());
  return {};
}

}  // namespace weir
