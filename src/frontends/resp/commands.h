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
  kDiscard,
  kEcho,
  kExec,
  kHello,
  kInfo,
  kMulti,
  kPing,
  kQuit,
  kReset,
  kSelect,
  kThrottle,
  kUnwatch,
  kWatch,
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

// What a listener serves, as bits (RespOptions::serve). The commands that are Redis' own always are.
using ServeSet = std::uint32_t;
inline constexpr ServeSet kServeThrottle = 1U << 0U, kServeCheck = 1U << 1U,
                          kServePeek = 1U << 2U,  // and WEIR.EXPLAIN
    kServeReserve = 1U << 3U,                     // and WEIR.COMMIT, WEIR.CANCEL
    kServeRefund = 1U << 4U, kServeFeedback = 1U << 5U, kServeReset = 1U << 6U;
inline constexpr ServeSet kServeAll = (1U << 7U) - 1;
inline constexpr ServeSet kServeByDefault = kServeAll & ~kServeReset;
// The bit that the command needs, and its name in the configuration; 0: none.
struct ServeBit {
  ServeSet bit;
  std::string_view name;
};
ServeBit ServeBitOf(CommandId command);

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
