// Secrets that clients present: compared so that the time taken tells nothing of them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir {

// Takes as long for a wrong `given` as for the right one of the same length; how long depends on `given` alone.
bool EqualInConstantTime(std::string_view given, std::string_view secret);

// A few secrets of which any will do. Immutable; thread-safe; cheap to copy. Never printed.
class SecretSet {
 public:
  SecretSet() = default;
  explicit SecretSet(std::vector<std::string> secrets)
      : secrets_(std::make_shared<const std::vector<std::string>>(std::move(secrets))) {}
  bool empty() const { return secrets_ == nullptr || secrets_->empty(); }
  // Compares with each of them, also once one has matched. An empty text is never one.
  bool Has(std::string_view given) const;

 private:
  std::shared_ptr<const std::vector<std::string>> secrets_;  // shared by copies; nullptr: none
};

// The token of `Authorization: Bearer TOKEN`; empty: the value is of another form. The scheme's case does not matter.
std::string_view BearerToken(std::string_view authorization);

}  // namespace weir
