#include "storage/redis/resp.h"

#include <hiredis/hiredis.h>

#include <array>
#include <charconv>

namespace weir::storage::redis {
namespace {

constexpr std::size_t kMaxElements = 16'384;

// ---- building replies: what hiredis calls while it parses -----------------------------------------------------------

ReplyReader::Budget& BudgetOf(const redisReadTask* task) { return *static_cast<ReplyReader::Budget*>(task->privdata); }

// The reply that `task` fills in: a place in its parent, or a new root, which ReplyReader::Next takes over.
Reply* PlaceOf(const redisReadTask* task) {
  if (task->parent == nullptr) return new Reply;
  return &static_cast<Reply*>(task->parent->obj)->elements[static_cast<std::size_t>(task->idx)];
}

void* CreateString(const redisReadTask* task, char* text, std::size_t length) {
  Reply* reply = PlaceOf(task);
  reply->type = task->type == REDIS_REPLY_ERROR    ? ReplyType::kError
                : task->type == REDIS_REPLY_STATUS ? ReplyType::kStatus
                                                   : ReplyType::kString;
  reply->text.assign(text, length);
  return reply;
}

// Returning nullptr makes hiredis give the reply up: memory is refused before it is taken.
void* CreateArray(const redisReadTask* task, int elements) {
  ReplyReader::Budget& budget = BudgetOf(task);
  const auto count = static_cast<std::size_t>(elements);
  if (count > budget.elements_left) return nullptr;
  budget.elements_left -= count;
  Reply* reply = PlaceOf(task);
  reply->type = ReplyType::kArray;
  reply->elements.resize(count);
  return reply;
}

void* CreateInteger(const redisReadTask* task, long long value) {
  Reply* reply = PlaceOf(task);
  reply->type = ReplyType::kInteger;
  reply->integer = value;
  return reply;
}

void* CreateNil(const redisReadTask* task) {
  Reply* reply = PlaceOf(task);
  reply->type = ReplyType::kNil;
  return reply;
}

void FreeRoot(void* root) { delete static_cast<Reply*>(root); }

redisReplyObjectFunctions kFunctions{CreateString, CreateArray, CreateInteger, CreateNil, FreeRoot};

}  // namespace

// ---- commands -------------------------------------------------------------------------------------------------------

Command& Command::Add(std::string_view word) {
  text_ += word;
  ends_.push_back(text_.size());
  return *this;
}

Command& Command::Add(std::int64_t number) {
  std::array<char, 24> digits;
  const auto [end, fault] = std::to_chars(digits.begin(), digits.end(), number);
  return Add(std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
}

void Command::Clear() {
  text_.clear();
  ends_.clear();
}

void Command::AppendTo(std::string& bytes) const {
  std::vector<const char*> words(ends_.size());
  std::vector<std::size_t> lengths(ends_.size());
  std::size_t begin = 0;
  for (std::size_t i = 0; i < ends_.size(); ++i) {
    words[i] = text_.data() + begin;
    lengths[i] = ends_[i] - begin;
    begin = ends_[i];
  }
  char* formatted = nullptr;
  const int length = redisFormatCommandArgv(&formatted, static_cast<int>(words.size()), words.data(), lengths.data());
  if (length > 0) bytes.append(formatted, static_cast<std::size_t>(length));
  redisFreeCommand(formatted);
}

// ---- errors ---------------------------------------------------------------------------------------------------------

ErrorKind Classify(std::string_view error) {
  struct Known {
    std::string_view word;
    ErrorKind kind;
  };
  static constexpr Known kKnown[] = {
      {"NOSCRIPT", ErrorKind::kNoScript},  {"READONLY", ErrorKind::kReadOnly}, {"LOADING", ErrorKind::kLoading},
      {"MASTERDOWN", ErrorKind::kLoading}, {"BUSY", ErrorKind::kBusy},         {"OOM", ErrorKind::kOom},
      {"NOAUTH", ErrorKind::kRefused},     {"WRONGPASS", ErrorKind::kRefused}, {"NOPERM", ErrorKind::kRefused},
  };
  for (const Known& known : kKnown) {
    if (error.starts_with(known.word) && error.substr(known.word.size()).starts_with(' ')) return known.kind;
  }
  // Before Redis 7 an error inside a script arrives wrapped.
  for (const Known& known : kKnown) {
    if (error.find("-" + std::string(known.word) + " ") != std::string_view::npos) return known.kind;
  }
  return ErrorKind::kOther;
}

// ---- replies --------------------------------------------------------------------------------------------------------

struct ReplyReader::Parts {
  std::size_t max_bytes;
  Budget budget{kMaxElements};
  std::unique_ptr<redisReader, decltype(&redisReaderFree)> reader{redisReaderCreateWithFunctions(&kFunctions),
                                                                  redisReaderFree};
};

ReplyReader::ReplyReader(std::size_t max_bytes) : parts_(std::make_unique<Parts>(max_bytes)) {
  parts_->reader->privdata = &parts_->budget;
}

ReplyReader::~ReplyReader() = default;

Result<> ReplyReader::Feed(std::string_view bytes) {
  const redisReader& reader = *parts_->reader;
  if (reader.len - reader.pos + bytes.size() > parts_->max_bytes) {
    return Fail(ErrorCode::kDataLoss, "a reply is longer than " + std::to_string(parts_->max_bytes) + " bytes");
  }
  if (redisReaderFeed(parts_->reader.get(), bytes.data(), bytes.size()) != REDIS_OK) {
    return Fail(ErrorCode::kDataLoss, std::string("reading a reply: ") + reader.errstr);
  }
  return {};
}

Result<std::optional<Reply>> ReplyReader::Next() {
  void* root = nullptr;
  if (redisReaderGetReply(parts_->reader.get(), &root) != REDIS_OK) {
    return Fail(ErrorCode::kDataLoss, std::string("reading a reply: ") + parts_->reader->errstr);
  }
  if (root == nullptr) return std::nullopt;
  const std::unique_ptr<Reply> owned(static_cast<Reply*>(root));
  parts_->budget.elements_left = kMaxElements;
  return std::move(*owned);
}

}  // namespace weir::storage::redis
