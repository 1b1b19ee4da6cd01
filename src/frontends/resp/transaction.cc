#include "frontends/resp/transaction.h"

namespace weir::resp {

void Transaction::Discard() {
  open_ = spoilt_ = executing_ = false;
  std::string().swap(bytes_);
  std::vector<std::uint32_t>().swap(sizes_);
  std::vector<Entry>().swap(entries_);
  std::vector<std::string_view>().swap(taken_);
  next_entry_ = next_size_ = next_byte_ = 0;
}

bool Transaction::Queue(const CommandInfo& command, std::span<const std::string_view> arguments) {
  std::size_t bytes = 0;
  for (const std::string_view argument : arguments) bytes += argument.size() + sizeof(std::uint32_t);
  const std::size_t queued = bytes_.size() + sizes_.size() * sizeof(std::uint32_t);
  if (entries_.size() >= kMostCommands || queued + bytes > max_bytes_) return false;
  for (const std::string_view argument : arguments) {
    bytes_.append(argument);
    sizes_.push_back(static_cast<std::uint32_t>(argument.size()));
  }
  entries_.push_back({&command, static_cast<std::uint32_t>(arguments.size())});
  return true;
}

std::size_t Transaction::Execute() {
  open_ = false;
  executing_ = !entries_.empty();
  return entries_.size();
}

const CommandInfo* Transaction::Take(std::span<const std::string_view>* arguments) {
  const Entry& entry = entries_[next_entry_++];
  taken_.clear();
  for (std::uint32_t i = 0; i < entry.arguments; ++i) {
    const std::uint32_t size = sizes_[next_size_++];
    taken_.push_back(std::string_view(bytes_).substr(next_byte_, size));
    next_byte_ += size;
  }
  *arguments = taken_;
  executing_ = next_entry_ < entries_.size();
  return entry.command;
}

}  // namespace weir::resp
