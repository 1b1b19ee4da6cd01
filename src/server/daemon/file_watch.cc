#include "server/daemon/file_watch.h"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/clock.h"

namespace weir::server {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // as many as the kernel follows
constexpr int kDeepest = 16;    // directories below a directory, as they are loaded

// Directories that nothing is loaded from: a ConfigMap's own, and what lies too deep.
bool IsPassedOver(const fs::path& directory, int depth) {
  return directory.filename().string().starts_with('.') || depth >= kDeepest;
}

// The directories in which something happens when another file, or other content, comes to be at `path`.
void AddPlaces(const fs::path& path, int links_left, std::set<std::string>& places) {
  std::error_code error;
  fs::path whole = fs::absolute(path, error);
  fs::path walked;
  for (const fs::path& part : whole) {
    const fs::path above = walked;
    walked /= part;
    if (!fs::is_symlink(fs::symlink_status(walked, error))) continue;
    places.insert(above.string());
    const fs::path target = fs::read_symlink(walked, error);
    if (!error && links_left > 0) AddPlaces(target.is_absolute() ? target : above / target, links_left - 1, places);
  }
  const fs::path parent = whole.parent_path();
  places.insert((parent.empty() ? whole : parent).string());
  if (!fs::is_directory(whole, error)) return;
  places.insert(whole.string());
  for (fs::recursive_directory_iterator one(whole, error), end; !error && one != end; one.increment(error)) {
    std::error_code ignored;
    if (one->is_directory(ignored) && !one->is_symlink(ignored)) {
      if (IsPassedOver(one->path(), one.depth())) {
        one.disable_recursion_pending();
      } else {
        places.insert(one->path().string());
      }
      continue;
    }
    const bool is_link_to_file = one->is_symlink(ignored) && one->is_regular_file(ignored);
    if (is_link_to_file && links_left > 0) AddPlaces(one->path(), links_left - 1, places);
  }
}

}  // namespace

Result<std::unique_ptr<FileWatch>> FileWatch::Create(std::vector<std::string> paths) {
  const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) return Fail(ErrorCode::kUnavailable, fmt::format("cannot watch files: {}", std::strerror(errno)));
  std::unique_ptr<FileWatch> watch(new FileWatch(fd));
  if (auto followed = watch->Follow(std::move(paths)); !followed) return std::unexpected(followed.error());
  return watch;
}

FileWatch::~FileWatch() { close(fd_); }

Result<> FileWatch::Follow(std::vector<std::string> paths) {
  paths_ = std::move(paths);
  auto renewed = Renew();
  seen_ = LookAtAll();
  return renewed;
}

// Links may lead elsewhere by now.
Result<> FileWatch::Renew() {
  std::set<std::string> places;
  for (const std::string& path : paths_) AddPlaces(path, kMostLinks, places);
  Result<> result;
  std::map<std::string, int> watches;
  std::set<int> wanted;
  for (const std::string& place : places) {
    const int watch =
        inotify_add_watch(fd_, place.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE);
    if (watch < 0) {
      const int why = errno;
      result = Fail(why == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
                    fmt::format("cannot watch '{}': {}", place, std::strerror(why)));
      continue;
    }
    watches.emplace(place, watch);
    wanted.insert(watch);
  }
  for (const auto& [place, watch] : watches_) {
    if (!wanted.contains(watch)) inotify_rm_watch(fd_, watch);
  }
  watches_ = std::move(watches);
  return result;
}

void FileWatch::Look(const std::string& path, View& view) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return;
  view[path] = {.inode = info.st_ino,
                .device = info.st_dev,
                .size = S_ISDIR(info.st_mode) ? 0 : static_cast<std::uint64_t>(info.st_size),
                .modified_ns = S_ISDIR(info.st_mode) ? 0 : info.st_mtim.tv_sec * kSecond + info.st_mtim.tv_nsec};
}

FileWatch::View FileWatch::LookAtAll() const {
  View view;
  for (const std::string& path : paths_) {
    Look(path, view);
    std::error_code error;
    if (!fs::is_directory(path, error)) continue;
    for (fs::recursive_directory_iterator one(path, error), end; !error && one != end; one.increment(error)) {
      std::error_code ignored;
      if (one->is_directory(ignored)) {
        if (IsPassedOver(one->path(), one.depth())) one.disable_recursion_pending();
      } else {
        Look(one->path().string(), view);
      }
    }
  }
  return view;
}

// A file that is gone for a moment is in the middle of being replaced: the new one is waited for.
bool FileWatch::IsComplete(const View& view) const {
  return std::ranges::all_of(paths_, [&](const std::string& path) { return view.contains(path); });
}

bool FileWatch::Changed() {
  static_cast<void>(Renew());  // a directory that is gone for a moment is tried again with the next event
  // Behind that, which tells of the watches that it gave up, and before looking, so that nothing later is missed.
  alignas(inotify_event) std::array<char, 4096> events{};
  while (read(fd_, events.data(), events.size()) > 0) {
  }
  const View now = LookAtAll();
  if (now == seen_ || !IsComplete(now)) return false;
  seen_ = now;
  return true;
}

}  // namespace weir::server
