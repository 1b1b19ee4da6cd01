// MULTI: commands that wait for EXEC. weir promises no more than Redis does for them: they run one after the other and
// are answered as one array. Each decides for itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "frontends/resp/commands.h"

namespace weir::resp {

// Of one connection. Not thread-safe. Bounded: commands of kMostCommands and `max_bytes` in all.
class Transaction {
 public:
  static constexpr std::size_t kMostCommands = 10'000;

  explicit Transaction(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  bool open() const { return open_; }
  void Begin() { open_ = true; }
  // Forgets everything, and gives back its memory.
  void Discard();
  // A command was refused: EXEC will run none.
  void Spoil() { spoilt_ = open_; }
  bool spoilt() const { return spoilt_; }

  // Copies the command. False: there is no room, and nothing is queued.
  bool Queue(const CommandInfo& command, std::span<const std::string_view> arguments);

  // EXEC: how many there are; they are taken one by one, and it is no longer open.
  std::size_t Execute();
  // EXEC was said, and not all of them are taken.
  bool executing() const { return executing_; }
  // The next. `arguments` until the next call of any member.
  const CommandInfo* Take(std::span<const std::string_view>* arguments);

  // Bytes that it holds.
  std::size_t held() const {
    if (entries_.empty()) return 0;
    return bytes_.capacity() + entries_.capacity() * sizeof(Entry) + sizes_.capacity() * sizeof(std::uint32_t);
  }

 private:
  struct Entry {
    const CommandInfo* command;
    std::uint32_t arguments;
  };

  const std::size_t max_bytes_;
  bool open_ = false, spoilt_ = false, executing_ = false;
  std::string bytes_;                 // all arguments in a row ...
  std::vector<std::uint32_t> sizes_;  // ... each so long
  std::vector<Entry> entries_;
  std::size_t next_entry_ = 0, next_size_ = 0, next_byte_ = 0;
  std::vector<std::string_view> taken_;
};

}  // namespace weir::resp
