#include "base/intern.h"

#include <mutex>
#include <set>
#include <string>

namespace weir {

std::string_view Intern(std::string_view text) {
  static std::mutex mutex;
  static auto& names = *new std::set<std::string, std::less<>>;  // never destroyed: other threads may still read
  const std::scoped_lock lock(mutex);
  const auto found = names.find(text);
  return found != names.end() ? *found : *names.emplace(text).first;
}

}  // namespace weir
