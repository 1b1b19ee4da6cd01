// The Redis protocol, both ways, by hiredis: commands into bytes, bytes into replies. No I/O. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weir/result.h"

namespace weir::storage::redis {

// One command under construction: Add its words, then AppendTo a buffer. Reusable after Clear().
class Command {
 public:
  Command() = default;
  Command(std::initializer_list<std::string_view> words) {
    for (const std::string_view word : words) Add(word);
  }
  Command& Add(std::string_view word);
  Command& Add(std::int64_t number);
  void Clear();
  std::size_t size() const { return ends_.size(); }
  void AppendTo(std::string& bytes) const;

 private:
  std::string text_;               // all words, one after the other
  std::vector<std::size_t> ends_;  // where each ends in text_
};

enum class ReplyType : std::uint8_t { kNil, kInteger, kString, kStatus, kError, kArray };

struct Reply {
  ReplyType type = ReplyType::kNil;
  std::int64_t integer = 0;
  std::string text;             // kString, kStatus, kError
  std::vector<Reply> elements;  // kArray

  bool IsError() const { return type == ReplyType::kError; }
  bool IsStatus(std::string_view status) const { return type == ReplyType::kStatus && text == status; }
};

// What an error reply means for whoever asked. Found also when wrapped, as in "ERR Error running script ...:
// -READONLY".
enum class ErrorKind : std::uint8_t {
  kNoScript,  // the script is not cached there: send it
  kReadOnly,  // a replica, or a primary that was demoted: another server is the one to ask
  kLoading,   // it reads its data set, or a replica has lost its primary: wait
  kBusy,      // a script has been running too long: wait
  kOom,       // above maxmemory, refuses writes
  kRefused,   // NOAUTH, WRONGPASS, NOPERM: the credentials do not suffice
  kOther,
};
inline constexpr std::size_t kErrorKinds = 7;
ErrorKind Classify(std::string_view error);

// Bounded: a reply larger than `max_bytes` or of more than 16,384 elements is an error, before memory is taken for it.
class ReplyReader {
 public:
  explicit ReplyReader(std::size_t max_bytes);
  ~ReplyReader();
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  // After an error (kDataLoss) the reader is useless, and so is the connection.
  Result<> Feed(std::string_view bytes);
  // The next whole reply; nullopt: more bytes are needed.
  Result<std::optional<Reply>> Next();

  struct Budget {
    std::size_t elements_left = 0;  // of the reply being read
  };

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace weir::storage::redis
