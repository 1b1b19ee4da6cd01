#include "management/backup/archive.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "base/crypto/encoding.h"

namespace weir::management {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kAtOnce = 256U << 10U;
constexpr std::uint64_t kMostSize = (std::uint64_t{1} << 33U) - 1;  // 11 octal digits

// Places in a header's block: name, mode, uid, gid, size, mtime, checksum, type, magic.
constexpr std::size_t kNameAt = 0, kModeAt = 100, kUidAt = 108, kGidAt = 116, kSizeAt = 124, kTimeAt = 136,
                      kSumAt = 148, kTypeAt = 156, kMagicAt = 257;
constexpr std::size_t kLongestName = 99;

using Block = std::array<char, kBlock>;

class Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }
  void Add(std::string_view bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }
  DigestText Text() {
    std::array<unsigned char, 32> bytes{};
    EVP_DigestFinal_ex(context_.get(), bytes.data(), nullptr);
    return Hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

std::unexpected<Error> Refused(const char* doing) {
  const ErrorCode code = errno == ENOSPC ? ErrorCode::kResourceExhausted : ErrorCode::kUnavailable;
  return Fail(code, std::string(doing) + ": " + std::strerror(errno));
}

Result<> WriteAll(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Refused("the archive cannot be written");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

void PutOctal(Block& block, std::size_t at, std::size_t digits, std::uint64_t value) {
  for (std::size_t i = digits; i-- > 0; value >>= 3U) block[at + i] = static_cast<char>('0' + (value & 7U));
}

bool TakeOctal(const Block& block, std::size_t at, std::size_t digits, std::uint64_t* value) {
  *value = 0;
  for (std::size_t i = at; i < at + digits; ++i) {
    if (block[i] < '0' || block[i] > '7') return false;
    *value = (*value << 3U) | static_cast<std::uint64_t>(block[i] - '0');
  }
  return true;
}

// With the sum's own place as spaces.
std::uint64_t SumOf(const Block& block) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i) {
    const bool own = i >= kSumAt && i < kSumAt + 8;
    sum += own ? std::uint64_t{' '} : static_cast<unsigned char>(block[i]);
  }
  return sum;
}

std::uint64_t PaddingOf(std::uint64_t size) { return (kBlock - size % kBlock) % kBlock; }

}  // namespace

Result<ArchiveWriter> ArchiveWriter::Create(const std::string& path) {
  FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.is_open()) {
    const ErrorCode code = errno == EEXIST ? ErrorCode::kAlreadyExists : ErrorCode::kUnavailable;
    return Fail(code, "'" + path + "' cannot be made: " + std::strerror(errno));
  }
  return ArchiveWriter(std::move(file));
}

Result<> ArchiveWriter::Begin(const std::string& name, std::uint64_t size) {
  if (name.empty() || name.size() > kLongestName)
    return Fail(ErrorCode::kInvalidArgument, "the name is too long: " + name);
  if (size > kMostSize) return Fail(ErrorCode::kInvalidArgument, "'" + name + "' has more than 8 GiB");
  Block block{};
  std::ranges::copy(name, block.begin() + kNameAt);
  PutOctal(block, kModeAt, 7, 0600);
  PutOctal(block, kUidAt, 7, 0);
  PutOctal(block, kGidAt, 7, 0);
  PutOctal(block, kSizeAt, 11, size);
  PutOctal(block, kTimeAt, 11, 0);
  block[kTypeAt] = '0';
  std::ranges::copy(std::string_view("ustar\0"
                                     "00",
                                     8),
                    block.begin() + kMagicAt);
  PutOctal(block, kSumAt, 6, SumOf(block));
  block[kSumAt + 7] = ' ';
  return WriteAll(file_.get(), {block.data(), block.size()});
}

Result<> ArchiveWriter::Pad(std::uint64_t size) {
  return WriteAll(file_.get(), std::string(static_cast<std::size_t>(PaddingOf(size)), '\0'));
}

Result<DigestText> ArchiveWriter::AddFile(const std::string& name, const std::string& path) {
  const auto source = OpenRegularFile(path);
  if (!source) return std::unexpected(source.error());
  struct stat status{};
  if (fstat(source->get(), &status) != 0) return Refused("a file cannot be looked at");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (auto begun = Begin(name, size); !begun) return std::unexpected(begun.error());
  Digest digest;
  std::string buffer(kAtOnce, '\0');
  for (std::uint64_t left = size; left > 0;) {
    const ssize_t got =
        read(source->get(), buffer.data(), static_cast<std::size_t>(std::min<std::uint64_t>(left, kAtOnce)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Refused("a file cannot be read");
    if (got == 0) return Fail(ErrorCode::kDataLoss, "'" + path + "' became shorter while it was read");
    const std::string_view part(buffer.data(), static_cast<std::size_t>(got));
    digest.Add(part);
    if (auto written = WriteAll(file_.get(), part); !written) return std::unexpected(written.error());
    left -= part.size();
  }
  if (auto padded = Pad(size); !padded) return std::unexpected(padded.error());
  return digest.Text();
}

Result<> ArchiveWriter::AddText(const std::string& name, std::string_view text) {
  if (auto begun = Begin(name, text.size()); !begun) return begun;
  if (auto written = WriteAll(file_.get(), text); !written) return written;
  return Pad(text.size());
}

Result<> ArchiveWriter::Finish() {
  if (auto written = WriteAll(file_.get(), std::string(2 * kBlock, '\0')); !written) return written;
  if (fsync(file_.get()) != 0) return Refused("the archive cannot be written");
  return {};
}

Result<ArchiveReader> ArchiveReader::Open(const std::string& path) {
  auto file = OpenRegularFile(path);
  if (!file) return std::unexpected(file.error());
  return ArchiveReader(std::move(*file));
}

Result<> ArchiveReader::Read(char* to, std::size_t size) {
  while (size > 0) {
    const ssize_t got = read(file_.get(), to, size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Refused("the archive cannot be read");
    if (got == 0) return Fail(ErrorCode::kDataLoss, "the archive is cut off");
    to += got;
    size -= static_cast<std::size_t>(got);
  }
  return {};
}

Result<> ArchiveReader::Take(const std::function<Result<>(std::string_view)>& visit) {
  std::string buffer(kAtOnce, '\0');
  for (; size_ > 0;) {
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(size_, kAtOnce));
    if (auto got = Read(buffer.data(), part); !got) return got;
    size_ -= part;
    if (auto taken = visit({buffer.data(), part}); !taken) return taken;
  }
  return Read(buffer.data(), static_cast<std::size_t>(std::exchange(padding_, 0)));
}

Result<bool> ArchiveReader::Next(Member* member) {
  if (auto skipped = Take([](std::string_view) { return Result<>(); }); !skipped)
    return std::unexpected(skipped.error());
  Block block{};
  if (auto got = Read(block.data(), block.size()); !got) return std::unexpected(got.error());
  if (std::ranges::all_of(block, [](char c) { return c == '\0'; })) return false;
  std::uint64_t sum = 0, size = 0;
  const bool ours = std::memcmp(block.data() + kMagicAt, "ustar", 5) == 0 && block[kTypeAt] == '0';
  if (!ours || !TakeOctal(block, kSumAt, 6, &sum) || sum != SumOf(block) || !TakeOctal(block, kSizeAt, 11, &size)) {
    return Fail(ErrorCode::kDataLoss, "it is no backup of weir, or damaged");
  }
  member->name = std::string(block.data(), strnlen(block.data(), kLongestName));
  member->size = size_ = size;
  padding_ = PaddingOf(size);
  return true;
}

Result<DigestText> ArchiveReader::Extract(const std::string& path) {
  const FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.is_open()) return Refused("a file cannot be made");
  Digest digest;
  auto done = Take([&](std::string_view part) {
    digest.Add(part);
    return WriteAll(file.get(), part);
  });
  if (!done) return std::unexpected(done.error());
  if (fsync(file.get()) != 0) return Refused("a file cannot be written");
  return digest.Text();
}

Result<std::string> ArchiveReader::Text(std::size_t most) {
  if (size_ > most) return Fail(ErrorCode::kResourceExhausted, "a part of the archive is too large");
  std::string text;
  auto done = Take([&](std::string_view part) {
    text += part;
    return Result<>();
  });
  if (!done) return std::unexpected(done.error());
  return text;
}

}  // namespace weir::management
