#include "storage/admin.h"

#include <cstring>
#include <utility>

namespace weir::storage {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::string_view kMagic = "WST";
constexpr std::size_t kHead = 4;      // magic and version
constexpr std::size_t kChecksum = 8;  // behind everything

class Writer {
 public:
  explicit Writer(std::string& to) : to_(to) {}
  void Number(std::uint64_t value, int bytes = 8) {
    for (int i = 0; i < bytes; ++i) to_.push_back(static_cast<char>(value >> (8 * i) & 255));
  }
  void Text(std::string_view text) {
    Number(text.size(), 4);
    to_ += text;
  }

 private:
  std::string& to_;
};

// Reads past the end as zeros, and remembers that it did.
class Reader {
 public:
  explicit Reader(std::string_view from) : from_(from) {}
  std::uint64_t Number(std::size_t bytes = 8) {
    const std::string_view taken = Take(bytes);
    std::uint64_t value = 0;
    for (std::size_t i = taken.size(); i > 0; --i) value = value << 8 | static_cast<unsigned char>(taken[i - 1]);
    return value;
  }
  std::string Text() { return std::string(Take(Number(4))); }
  std::string_view Take(std::size_t size) {
    if (size > from_.size()) {
      failed_ = true;
      from_ = {};
      return {};
    }
    const std::string_view taken = from_.substr(0, size);
    from_.remove_prefix(size);
    return taken;
  }
  std::size_t left() const { return from_.size(); }
  bool Ended() const { return !failed_ && from_.empty(); }

 private:
  std::string_view from_;
  bool failed_ = false;
};

std::unexpected<Error> Damaged(const char* what) {
  return Fail(ErrorCode::kDataLoss, std::string("the state is damaged: ") + what);
}

// Whether the words can be those of the form.
bool IsSane(const StateRecord& record) {
  switch (record.form) {
    case StateForm::kWord:
      return record.words.size() == 1 && record.words[0] > 0 && record.bytes.empty();
    case StateForm::kList:
      return algorithms::Of(record.kind).kind == record.kind &&
             algorithms::Of(record.kind).shape == algorithms::Shape::kList && record.bytes.empty();
    case StateForm::kRedis:
      return record.words.empty();
    case StateForm::kPostgres: {
      const algorithms::Algorithm& algorithm = algorithms::Of(record.kind);
      if (algorithm.kind != record.kind || !record.bytes.empty()) return false;
      return algorithm.shape == algorithms::Shape::kList ||
             (algorithm.shape == algorithms::Shape::kWord && record.words.size() == 1);
    }
  }
  return false;
}

}  // namespace

std::string EncodeState(const StateRecord& record) {
  std::string bytes(kMagic);
  Writer writer(bytes);
  writer.Number(kVersion, 1);
  writer.Number(static_cast<std::uint8_t>(record.form), 1);
  writer.Number(static_cast<std::uint8_t>(record.kind), 1);
  writer.Number(static_cast<std::uint64_t>(record.expires));
  writer.Number(record.name.key.hi);
  writer.Number(record.name.key.lo);
  writer.Text(record.name.rule);
  writer.Text(record.name.subject);
  writer.Text(record.name.place);
  writer.Text(record.bytes);
  writer.Number(record.words.size(), 4);
  for (const algorithms::Word word : record.words) writer.Number(static_cast<std::uint64_t>(word));
  writer.Number(Hash64(bytes));
  return bytes;
}

Result<StateRecord> DecodeState(std::string_view bytes) {
  if (bytes.size() > kMostStateBytes) return Damaged("too long");
  if (bytes.size() < kHead || !bytes.starts_with(kMagic)) return Damaged("this is no state");
  if (const auto version = static_cast<std::uint8_t>(bytes[kMagic.size()]); version != kVersion) {
    return Fail(ErrorCode::kFailedPrecondition,
                "the state is of version " + std::to_string(version) + ", which this weir does not know");
  }
  if (bytes.size() < kHead + kChecksum) return Damaged("cut off");
  const std::string_view body = bytes.substr(0, bytes.size() - kChecksum);
  if (Reader(bytes.substr(body.size())).Number() != Hash64(body)) return Damaged("the checksum does not match");
  Reader reader(body.substr(kHead));
  StateRecord record;
  record.form = static_cast<StateForm>(reader.Number(1));
  record.kind = static_cast<algorithms::Kind>(reader.Number(1));
  record.expires = static_cast<Nanos>(reader.Number());
  record.name.key.hi = reader.Number();
  record.name.key.lo = reader.Number();
  record.name.rule = reader.Text();
  record.name.subject = reader.Text();
  record.name.place = reader.Text();
  record.bytes = reader.Text();
  const std::uint64_t words = reader.Number(4);
  if (words * sizeof(algorithms::Word) != reader.left()) return Damaged("another size than it says");
  record.words.reserve(words);
  for (std::uint64_t i = 0; i < words; ++i) record.words.push_back(static_cast<algorithms::Word>(reader.Number()));
  if (!reader.Ended() || !IsSane(record)) return Damaged("it cannot be");
  return record;
}

}  // namespace weir::storage
