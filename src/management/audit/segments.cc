#include "management/audit/segments.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <system_error>

namespace weir::management::audit {
namespace {

constexpr std::size_t kBlock = 64 << 10;
constexpr std::string_view kExtension = ".ndjson";
constexpr std::size_t kDigits = 12;

std::unexpected<Error> CannotRead(int error) {
  return Fail(ErrorCode::kUnavailable, std::string("cannot read the audit log: ") + std::strerror(error));
}

// Reads `size` bytes at `offset`, or fewer at the end of the file; appends them.
Result<std::size_t> ReadAt(const FileDescriptor& file, std::uint64_t offset, std::size_t size, std::string* out) {
  const std::size_t before = out->size();
  out->resize(before + size);
  ssize_t got = -1;
  do {
    got = pread(file.get(), out->data() + before, size, static_cast<off_t>(offset));
  } while (got < 0 && errno == EINTR);
  const int error = errno;
  out->resize(before + (got > 0 ? static_cast<std::size_t>(got) : 0));
  if (got < 0) return CannotRead(error);
  return static_cast<std::size_t>(got);
}

}  // namespace

std::string SegmentPath(const std::string& directory, std::uint64_t first) {
  return fmt::format("{}/{:012}{}", directory, first, kExtension);
}

Result<std::vector<Segment>> ListSegments(const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(opendir(directory.c_str()), &closedir);
  if (open == nullptr) {
    if (errno == ENOENT) return Fail(ErrorCode::kNotFound, "there is no audit log in '" + directory + "'");
    return Fail(ErrorCode::kUnavailable, "cannot read '" + directory + "': " + std::strerror(errno));
  }
  std::vector<Segment> segments;
  while (const dirent* const entry = readdir(open.get())) {
    const std::string_view name = entry->d_name;
    if (!name.ends_with(kExtension) || name.size() < kDigits + kExtension.size()) continue;
    const std::string_view digits = name.substr(0, name.size() - kExtension.size());
    std::uint64_t first = 0;
    const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), first);
    if (fault != std::errc() || end != digits.data() + digits.size() || first == 0) continue;
    if (SegmentPath(directory, first) != directory + "/" + entry->d_name) continue;
    segments.push_back({.first = first, .path = SegmentPath(directory, first)});
  }
  std::ranges::sort(segments, {}, &Segment::first);
  return segments;
}

Result<std::uint64_t> SizeOf(const FileDescriptor& file) {
  struct stat status{};
  if (fstat(file.get(), &status) != 0) return CannotRead(errno);
  return static_cast<std::uint64_t>(status.st_size);
}

LineReader::LineReader(const FileDescriptor& file, std::uint64_t begin, std::uint64_t end, std::size_t most)
    : file_(file), at_(begin), end_(end), most_(most) {}

Result<bool> LineReader::Fill() {
  buffer_.erase(0, used_);
  used_ = 0;
  const std::size_t want = static_cast<std::size_t>(std::min<std::uint64_t>(kBlock, end_ - at_));
  if (want == 0) return false;
  const auto got = ReadAt(file_, at_, want, &buffer_);
  if (!got) return std::unexpected(got.error());
  at_ += *got;
  return *got > 0;
}

Result<bool> LineReader::Next(Line* line) {
  std::size_t searched = used_;
  while (true) {
    const std::size_t newline = buffer_.find('\n', searched);
    const std::uint64_t begin = at_ - (buffer_.size() - used_);
    if (newline != std::string::npos && newline - used_ <= most_) {
      *line = {.text = std::string_view(buffer_).substr(used_, newline - used_), .offset = begin, .finished = true};
      used_ = newline + 1;
      return true;
    }
    const std::size_t held = buffer_.size() - used_;
    if (held <= most_ && newline == std::string::npos) {
      const auto more = Fill();
      if (!more) return std::unexpected(more.error());
      searched = held;
      if (*more) continue;
      if (held == 0) return false;
    }
    *line = {.text = std::string_view(buffer_).substr(used_, std::min(buffer_.size() - used_, most_)),
             .offset = begin,
             .finished = false};
    used_ = buffer_.size();
    return true;
  }
}

ReverseLineReader::ReverseLineReader(const FileDescriptor& file, std::uint64_t end, std::size_t most)
    : file_(file), at_(end), most_(most) {}

Result<bool> ReverseLineReader::Next(LineReader::Line* line) {
  while (true) {
    // The newline that ends the line is the last character of buffer_; what is before it may hold earlier ones.
    const std::size_t newline = buffer_.empty() ? std::string::npos : buffer_.rfind('\n', buffer_.size() - 2);
    const bool whole = buffer_.size() > 1 && newline != std::string::npos && newline + 1 < buffer_.size();
    if (whole || (at_ == 0 && !buffer_.empty())) {
      const std::size_t begin = whole ? newline + 1 : 0;
      line_ = buffer_.substr(begin);
      buffer_.resize(begin);
      const bool finished = line_.ends_with('\n');
      if (finished) line_.pop_back();
      *line = {.text = line_, .offset = at_ + begin, .finished = finished};
      return true;
    }
    if (at_ == 0) return false;
    if (buffer_.size() > most_ + kBlock) return Fail(ErrorCode::kDataLoss, "the audit log has a line that is too long");
    const std::size_t want = static_cast<std::size_t>(std::min<std::uint64_t>(kBlock, at_));
    std::string block;
    const auto got = ReadAt(file_, at_ - want, want, &block);
    if (!got) return std::unexpected(got.error());
    if (*got != want) return Fail(ErrorCode::kDataLoss, "the audit log was cut while it was read");
    at_ -= want;
    buffer_.insert(0, block);
  }
}

}  // namespace weir::management::audit
