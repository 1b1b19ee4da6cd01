// The parser of conditions (config/compile/condition.h), and the evaluation of whatever it accepts.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/compile/condition.h"

namespace {

class Input final : public weir::config::ConditionInput {
 public:
  explicit Input(std::string_view all) : all_(all) {}
  std::string_view Get(Text field) const override { return all_.substr(0, static_cast<std::size_t>(field) * 3); }
  std::optional<std::string_view> Find(Map map, std::string_view key) const override {
    if ((key.size() + static_cast<std::size_t>(map)) % 2 == 0) return std::nullopt;
    return all_.substr(all_.size() / 2);
  }
  std::uint64_t cost() const override { return all_.size(); }

 private:
  std::string_view all_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto condition = weir::config::Condition::Parse(text);
  if (!condition) {
    if (condition.error().message.empty()) std::abort();
    return 0;
  }
  // The same text means the same, and asked twice it says the same.
  const auto again = weir::config::Condition::Parse(condition->text());
  if (!again) std::abort();
  const Input input(text);
  if (condition->Evaluate(input) != again->Evaluate(input)) std::abort();
  return 0;
}
