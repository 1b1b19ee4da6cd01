// Every command weir knows, as COMMAND tells it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "frontends/resp/reply.h"

namespace weir::resp {

enum class CommandId : std::uint8_t {
  kAuth,
  kClient,
  kClThrottle,
  kCommand,
  kConfig,
  kEcho,
  kHello,
  kInfo,
  kPing,
  kQuit,
  kReset,
  kSelect,
  kThrottle,
  kWeirCancel,
  kWeirCheck,
  kWeirCommit,
  kWeirExplain,
  kWeirExtend,
  kWeirFeedback,
  kWeirPeek,
  kWeirRefund,
  kWeirReserve,
  kWeirReset,
};

enum class Access : std::uint8_t { kAnybody, kAuthenticated };

struct CommandInfo {
  std::string_view name;  // lower case
  CommandId id;
  std::int8_t arity;  // with the name; negative: at least that many
  Access access;
  std::uint8_t first_key;  // position of the only key; 0 = none
  bool writes;
  std::string_view summary;
  std::string_view group;
};

// Sorted by name.
std::span<const CommandInfo> AllCommands();
// nullptr when there is none; the case of `name` does not matter.
const CommandInfo* FindCommand(std::string_view name);
bool ArityFits(const CommandInfo& command, std::size_t arguments);

bool EqualsIgnoreCase(std::string_view text, std::string_view lower);

// COMMAND and its subcommands.
void AppendCommandReply(std::span<const std::string_view> arguments, ReplyWriter& reply);

// The errors of Redis about commands.
void AppendUnknownCommand(std::span<const std::string_view> arguments, ReplyWriter& reply);
void AppendWrongArity(std::string_view command, ReplyWriter& reply);
void AppendUnknownSubcommand(std::span<const std::string_view> arguments, ReplyWriter& reply);

}  // namespace weir::resp
