#include "management/audit/head_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace weir::management::audit {
namespace {

constexpr std::size_t kSlot = 1'024;
// In pages of their own: a page is written whole or not at all by many devices, and torn by others.
constexpr std::size_t kDistance = 4'096;
constexpr std::size_t kFile = kDistance + kSlot;

std::string SlotText(const SigningKey& key, const Statement& statement) {
  std::string text = key.Sign(statement);
  text.resize(kSlot - 1, ' ');
  return text + '\n';
}

std::size_t PlaceOf(std::uint64_t counter) { return static_cast<std::size_t>(counter % 2) * kDistance; }

}  // namespace

Result<Head> ReadHead(const std::string& path, std::string_view public_key) {
  const auto text = ReadRegularFile(path, kFile);
  if (!text) return std::unexpected(text.error());
  const auto damaged = [](const char* why) { return Fail(ErrorCode::kDataLoss, why); };
  if (text->size() != kFile) return damaged("it has the wrong size");
  std::array<std::optional<Statement>, 2> found;
  std::array<bool, 2> blank{};
  for (std::uint64_t i = 0; i < 2; ++i) {
    const std::string_view slot = std::string_view(*text).substr(PlaceOf(i), kSlot);
    blank[i] = slot.find_first_not_of('\0') == std::string_view::npos;
    const std::size_t end = slot.find_last_not_of(" \n");
    if (end == std::string_view::npos) continue;
    auto statement = CheckSigned(slot.substr(0, end + 1), public_key);
    if (statement && statement->kind == Statement::Kind::kHead && statement->counter % 2 == i) found[i] = *statement;
  }
  if (!found[0] && !found[1]) return damaged("it holds no statement that is signed with this log's key");
  if (found[0] && found[1]) {
    const std::uint64_t a = found[0]->counter;
    const std::uint64_t b = found[1]->counter;
    if (std::max(a, b) - std::min(a, b) != 1) return damaged("its two statements do not follow each other");
    return Head{.newest = a > b ? *found[0] : *found[1], .interrupted = false};
  }
  const std::size_t whole = found[0] ? 0 : 1;
  // Only a log that never wrote a second statement has an empty place.
  if (blank[1 - whole] && found[whole]->counter != 0) return damaged("one of its two statements was erased");
  return Head{.newest = *found[whole], .interrupted = found[whole]->counter != 0 || !blank[1 - whole]};
}

Result<> HeadFile::Create(const std::string& path, const SigningKey& key, const Statement& first) {
  std::string text(kFile, '\0');
  text.replace(PlaceOf(first.counter), kSlot, SlotText(key, first));
  return ReplaceFile(path, text);
}

Result<HeadFile> HeadFile::Open(const std::string& path) {
  FileDescriptor file(open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.is_open()) {
    return Fail(ErrorCode::kUnavailable, "cannot open '" + path + "': " + std::strerror(errno));
  }
  return HeadFile(std::move(file));
}

Result<> HeadFile::Write(const SigningKey& key, const Statement& statement) {
  const std::string text = SlotText(key, statement);
  const ssize_t written = pwrite(file_.get(), text.data(), text.size(), static_cast<off_t>(PlaceOf(statement.counter)));
  if (written != static_cast<ssize_t>(text.size()) || fdatasync(file_.get()) != 0) {
    return Fail(ErrorCode::kUnavailable,
                std::string("cannot write the head of the audit log: ") + std::strerror(errno));
  }
  return {};
}

}  // namespace weir::management::audit
