#include "cli/log_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>

#include "cli/access_log.h"

namespace weir::cli {
namespace {

// A file, through zlib, which gives plain files as they are.
class LogFile {
 public:
  static Result<LogFile> Open(const std::string& name) {
    const bool standard_input = name == "-";
    const int fd = standard_input ? ::dup(STDIN_FILENO) : ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
      const auto code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable;
      return Fail(code, fmt::format("cannot read '{}': {}", name, std::generic_category().message(errno)));
    }
    struct stat status{};
    if (::fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
      ::close(fd);
      return Fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is a directory", name));
    }
    LogFile file;
    file.name_ = name;
    file.size_ = S_ISREG(status.st_mode) ? static_cast<std::uint64_t>(status.st_size) : 0;
    file.stream_.reset(gzdopen(fd, "rb"));
    if (file.stream_ == nullptr) {
      ::close(fd);
      return Fail(ErrorCode::kUnavailable, fmt::format("cannot read '{}'", name));
    }
    gzbuffer(file.stream_.get(), 1 << 17);
    return file;
  }

  bool Next(std::string* line) {
    if (peeked_ < kept_.size()) {
      *line = std::move(kept_[peeked_++]);
      return true;
    }
    return ReadLine(line);
  }

  // The time of the first readable line, by looking at some lines, which Next() gives again.
  Nanos FirstTime() {
    constexpr std::size_t kLookedAt = 100;
    AccessLogReader reader;
    std::string line;
    while (kept_.size() < kLookedAt && ReadLine(&line)) {
      kept_.push_back(line);
      if (const auto entry = reader.Read(line)) return entry->time;
    }
    return std::numeric_limits<Nanos>::max();
  }

  const std::string& name() const { return name_; }
  std::uint64_t size() const { return size_; }
  std::uint64_t read() const {
    const auto at = gzoffset(stream_.get());
    return at < 0 ? 0 : static_cast<std::uint64_t>(at);
  }
  // A gzipped file that ends early, or is damaged.
  std::string Fault() const {
    int code = Z_OK;
    const char* message = gzerror(stream_.get(), &code);
    return code == Z_OK || code == Z_STREAM_END ? "" : fmt::format("'{}' is damaged: {}", name_, message);
  }

 private:
  bool ReadLine(std::string* line) {
    line->clear();
    bool any = false;
    while (true) {
      if (at_ == end_) {
        const int got = gzread(stream_.get(), buffer_->data(), static_cast<unsigned>(buffer_->size()));
        if (got <= 0) return any;
        at_ = 0;
        end_ = static_cast<std::size_t>(got);
      }
      any = true;
      const std::string_view here(buffer_->data() + at_, end_ - at_);
      const std::size_t newline = here.find('\n');
      const std::string_view taken = here.substr(0, newline);
      line->append(taken.substr(0, kLongestLogLine - std::min(kLongestLogLine, line->size())));
      at_ += std::min(taken.size() + 1, here.size());
      if (newline != std::string_view::npos) return true;
    }
  }

  struct Close {
    void operator()(gzFile stream) const { gzclose(stream); }
  };
  std::string name_;
  std::uint64_t size_ = 0;
  std::unique_ptr<std::remove_pointer_t<gzFile>, Close> stream_;
  std::unique_ptr<std::array<char, 1 << 16>> buffer_ = std::make_unique<std::array<char, 1 << 16>>();
  std::size_t at_ = 0, end_ = 0;
  std::vector<std::string> kept_;
  std::size_t peeked_ = 0;
};

}  // namespace

struct LogFiles::Parts {
  std::vector<LogFile> files;
  std::size_t current = 0;
  std::uint64_t in_all = 0, before = 0;
  std::string fault;
};

LogFiles::LogFiles(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
LogFiles::~LogFiles() = default;
LogFiles::LogFiles(LogFiles&&) noexcept = default;
LogFiles& LogFiles::operator=(LogFiles&&) noexcept = default;

Result<LogFiles> LogFiles::Open(const std::vector<std::string>& names) {
  auto parts = std::make_unique<Parts>();
  bool sized = true;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (std::find(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(i), names[i]) !=
        names.begin() + static_cast<std::ptrdiff_t>(i)) {
      return Fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is given twice", names[i]));
    }
    auto file = LogFile::Open(names[i]);
    if (!file) return std::unexpected(file.error());
    sized = sized && file->size() > 0;
    parts->in_all += file->size();
    parts->files.push_back(std::move(*file));
  }
  if (!sized) parts->in_all = 0;
  if (parts->files.size() > 1) {
    std::vector<std::pair<Nanos, std::size_t>> order;
    for (std::size_t i = 0; i < parts->files.size(); ++i) order.emplace_back(parts->files[i].FirstTime(), i);
    std::ranges::stable_sort(order);
    std::vector<LogFile> sorted;
    for (const auto& [time, index] : order) sorted.push_back(std::move(parts->files[index]));
    parts->files = std::move(sorted);
  }
  return LogFiles(std::move(parts));
}

bool LogFiles::Next(std::string* line) {
  for (; parts_->current < parts_->files.size(); ++parts_->current) {
    LogFile& file = parts_->files[parts_->current];
    if (file.Next(line)) return true;
    if (parts_->fault.empty()) parts_->fault = file.Fault();
    parts_->before += file.size();
  }
  return false;
}

std::uint64_t LogFiles::bytes_read() const {
  return parts_->before + (parts_->current < parts_->files.size() ? parts_->files[parts_->current].read() : 0);
}
std::uint64_t LogFiles::bytes_in_all() const { return parts_->in_all; }
const std::string& LogFiles::fault() const { return parts_->fault; }

}  // namespace weir::cli
