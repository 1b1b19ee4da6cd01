// Any limit, any state (a damaged snapshot), any series of asks: each is answered, within its promises.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "algorithms/algorithm.h"
#include "algorithms/limit.h"

namespace {

using weir::Nanos;
using weir::Outcome;
using weir::Verdict;
using weir::algorithms::Algorithm;
using weir::algorithms::Ask;
using weir::algorithms::Limit;
using weir::algorithms::Op;
using weir::algorithms::Shape;
using weir::algorithms::Word;
using weir::algorithms::Words;

void Require(bool promise) {
  if (!promise) std::abort();
}

// Reads zeros after the end.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  template <typename T>
  T Take() {
    T value{};
    const std::size_t size = left_ < sizeof value ? left_ : sizeof value;
    std::memcpy(&value, data_, size);
    data_ += size;
    left_ -= size;
    return value;
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

Limit TakeLimit(Input& input) {
  Limit limit;
  limit.kind = static_cast<weir::algorithms::Kind>(input.Take<std::uint8_t>());
  limit.calendar = static_cast<weir::algorithms::Calendar>(input.Take<std::uint8_t>());
  const auto flags = input.Take<std::uint8_t>();
  limit.shape = (flags & 1) != 0;
  limit.count_denied = (flags & 2) != 0;
  limit.zone = static_cast<std::uint16_t>(flags >> 2);
  limit.capacity = input.Take<std::uint64_t>();
  // The fields that share this memory's meaning differ by kind; all are set from the same few numbers.
  const auto a = input.Take<std::int64_t>();
  const auto b = input.Take<std::int64_t>();
  const auto c = input.Take<std::uint32_t>();
  limit.rate_count = static_cast<std::uint64_t>(b);
  limit.rate_period = limit.window = limit.lease = limit.longest_ban = a;
  limit.precision = limit.learning_window = limit.first_ban = limit.decay = b;
  limit.min_capacity = limit.capacity / 3;
  limit.max_capacity = limit.capacity + c;
  limit.adjustment_ppm = limit.threshold = limit.ban_factor_pct = c;
  return weir::algorithms::Sanitize(limit);
}

class Subject {
 public:
  Subject(const Limit& limit, Input& input) : limit_(limit), algorithm_(weir::algorithms::Of(limit.kind)) {
    word_ = input.Take<Word>();
    words_.resize(input.Take<std::uint8_t>() % 64);
    for (Word& word : words_) word = input.Take<Word>();
  }
  Outcome Apply(const Ask& ask) {
    return algorithm_.shape == Shape::kWord ? algorithm_.apply_word(limit_, ask, word_)
                                            : algorithm_.apply_list(limit_, ask, words_);
  }
  std::uint64_t Used(Nanos now) const {
    return algorithm_.shape == Shape::kWord ? algorithm_.used_word(limit_, word_, now)
                                            : algorithm_.used_list(limit_, words_, now);
  }
  Nanos Expires() const {
    return algorithm_.shape == Shape::kWord ? algorithm_.expires_word(limit_, word_)
                                            : algorithm_.expires_list(limit_, words_);
  }
  bool Same(const Subject& other) const { return word_ == other.word_ && words_ == other.words_; }
  bool IsFresh() const { return word_ == 0 && words_.empty(); }
  const Words& words() const { return words_; }

 private:
  Limit limit_;
  const Algorithm& algorithm_;
  Word word_ = 0;
  Words words_;
};

void Hold(const Outcome& outcome) {
  Require(outcome.remaining <= outcome.limit);
  Require(outcome.used <= weir::algorithms::kMaxCount);
  Require(outcome.reset_after_ns >= 0 && outcome.delay_ns >= 0);
  Require((outcome.verdict == Verdict::kLater) == (outcome.retry_after_ns > 0));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const Limit limit = TakeLimit(input);
  Require(weir::algorithms::Sanitize(limit) == limit);
  if (weir::algorithms::Of(limit.kind).shape == Shape::kNone) return 0;
  Subject subject(limit, input);
  // A damaged state is answered within bounds; what will be answered is foretold only for one that was made here.
  bool made_here = subject.IsFresh();
  for (int step = 0; step < 64 && !input.empty(); ++step) {
    Ask ask;
    const auto first = input.Take<std::uint8_t>();
    ask.op = static_cast<Op>(first % 6);
    ask.cost = input.Take<std::uint64_t>();
    ask.now = input.Take<Nanos>();
    ask.token = input.Take<std::uint64_t>();
    weir::algorithms::PastCharge charge;
    if (first >= 128) {
      charge = {.cost = input.Take<std::uint64_t>(), .at = input.Take<Nanos>()};
      ask.charge = &charge;
    }
    Ask peek = ask;
    peek.op = Op::kPeek;
    Subject before = subject;
    const Outcome seen = before.Apply(peek);
    Hold(seen);
    Require(before.Same(subject));
    const Outcome outcome = subject.Apply(ask);
    Hold(outcome);
    if (ask.op == Op::kCheck && made_here) Require(outcome == seen);
    made_here |= ask.op == Op::kReset || ask.op == Op::kAssign;
    if (ask.op == Op::kReset) Require(subject.Used(ask.now) == 0 && subject.Expires() == weir::algorithms::kMinNanos);
    Require(subject.Used(ask.now) <= weir::algorithms::kMaxCount);
    Require(subject.words().size() <= weir::algorithms::MaxWords(limit) + 64);
  }
  return 0;
}
