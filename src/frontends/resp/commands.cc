#include "frontends/resp/commands.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

namespace weir::resp {
namespace {

constexpr char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

using enum CommandId;
using enum Access;

constexpr std::string_view kGeneric = "connection";
constexpr std::string_view kServer = "server";
constexpr std::string_view kTransactions = "transactions";
constexpr std::string_view kLimits = "ratelimit";

constexpr std::array kCommands = {
    CommandInfo{"auth", kAuth, -2, kAnybody, 0, false, "Authenticates the connection.", kGeneric},
    CommandInfo{"cl.throttle", kClThrottle, -1, kAuthenticated, 1, true,
                "Counts against a bucket: key max_burst count period [quantity].", kLimits},
    CommandInfo{"client", kClient, -2, kAuthenticated, 0, false, "Names and describes the connection.", kGeneric},
    CommandInfo{"command", kCommand, -1, kAuthenticated, 0, false, "Describes the commands.", kServer},
    CommandInfo{"config", kConfig, -2, kAuthenticated, 0, false, "Tells the few parameters that clients ask for.",
                kServer},
    CommandInfo{"discard", kDiscard, 1, kAuthenticated, 0, false, "Forgets what was queued since MULTI.",
                kTransactions},
    CommandInfo{"echo", kEcho, 2, kAuthenticated, 0, false, "Returns its argument.", kGeneric},
    CommandInfo{"exec", kExec, 1, kAuthenticated, 0, true, "Runs what was queued since MULTI, in order.",
                kTransactions},
    CommandInfo{"hello", kHello, -1, kAnybody, 0, false, "Chooses the protocol and authenticates.", kGeneric},
    CommandInfo{"info", kInfo, -1, kAuthenticated, 0, false, "Describes the server.", kServer},
    CommandInfo{"multi", kMulti, 1, kAuthenticated, 0, false, "Queues the commands that follow, until EXEC.",
                kTransactions},
    CommandInfo{"ping", kPing, -1, kAuthenticated, 0, false, "Returns PONG, or its argument.", kGeneric},
    CommandInfo{"quit", kQuit, -1, kAnybody, 0, false, "Closes the connection.", kGeneric},
    CommandInfo{"reset", kReset, 1, kAnybody, 0, false, "Makes the connection as new.", kGeneric},
    CommandInfo{"select", kSelect, 2, kAuthenticated, 0, false, "Accepts database 0, the only one.", kGeneric},
    CommandInfo{"throttle", kThrottle, -1, kAuthenticated, 1, true,
                "Counts against a bucket: key burst count period [quantity].", kLimits},
    CommandInfo{"unwatch", kUnwatch, 1, kAuthenticated, 0, false, "Accepted: no key is watched.", kTransactions},
    CommandInfo{"watch", kWatch, -2, kAuthenticated, 0, false, "Accepted: no key that a client sees ever changes.",
                kTransactions},
    CommandInfo{"weir.cancel", kWeirCancel, 2, kAuthenticated, 0, true, "Gives a reservation back.", kLimits},
    CommandInfo{"weir.check", kWeirCheck, -1, kAuthenticated, 0, true,
                "Decides a request by the configured rules: field value ...", kLimits},
    CommandInfo{"weir.commit", kWeirCommit, 3, kAuthenticated, 0, true, "Settles a reservation at its true cost.",
                kLimits},
    CommandInfo{"weir.explain", kWeirExplain, -1, kAuthenticated, 0, false,
                "Decides as WEIR.PEEK does, and says why, step by step.", kLimits},
    CommandInfo{"weir.extend", kWeirExtend, -3, kAuthenticated, 0, true,
                "Reserves more for an open reservation: id cost [PARTIAL].", kLimits},
    CommandInfo{"weir.feedback", kWeirFeedback, -1, kAuthenticated, 0, true,
                "Tells the request's adaptive rules how its upstream fared: field value ...", kLimits},
    CommandInfo{"weir.peek", kWeirPeek, -1, kAuthenticated, 0, false, "What WEIR.CHECK would answer; counts nothing.",
                kLimits},
    CommandInfo{"weir.refund", kWeirRefund, -1, kAuthenticated, 0, true,
                "Gives cost back to every rule of the request.", kLimits},
    CommandInfo{"weir.reserve", kWeirReserve, -1, kAuthenticated, 0, true,
                "As WEIR.CHECK, to be committed or cancelled later.", kLimits},
    CommandInfo{"weir.reset", kWeirReset, -1, kAuthenticated, 0, true,
                "Forgets what the subjects of the request have used.", kLimits},
};
static_assert(std::ranges::is_sorted(kCommands, {}, &CommandInfo::name));

constexpr std::size_t kLongestName = 13;

constexpr const CommandInfo& kClThrottleInfo = *std::ranges::find(kCommands, kClThrottle, &CommandInfo::id);

std::uint64_t Load8(const char* bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

bool IsClThrottle(std::string_view name) {
  constexpr std::string_view kName = "cl.throttle";
  // Bit 5 makes letters lower case; of other bytes only 0x0e would turn into the dot.
  constexpr std::uint64_t kLower = 0x2020'2020'2020'2020;
  if (name.size() != kName.size() || name[2] != '.') return false;
  return (Load8(name.data()) | kLower) == Load8(kName.data()) &&
         (Load8(name.data() + 3) | kLower) == Load8(kName.data() + 3);
}

void AppendInfo(const CommandInfo& command, ReplyWriter& reply) {
  reply.Array(10);
  reply.Bulk(command.name);
  reply.Integer(command.arity);
  const bool open = command.access == kAnybody;
  reply.Set(open ? 3 : 2);
  reply.Simple(command.writes ? "write" : "readonly");
  reply.Simple("fast");
  if (open) reply.Simple("no_auth");
  reply.Integer(command.first_key);
  reply.Integer(command.first_key);
  reply.Integer(command.first_key == 0 ? 0 : 1);
  reply.Set(1);
  reply.Simple(command.group == kGeneric ? "@connection" : command.writes ? "@write" : "@read");
  reply.Array(0);  // tips
  reply.Array(0);  // key specifications
  reply.Array(0);  // subcommands
}

void AppendDocs(const CommandInfo& command, ReplyWriter& reply) {
  reply.Bulk(command.name);
  reply.Map(4);
  reply.Bulk("summary");
  reply.Bulk(command.summary);
  reply.Bulk("since");
  reply.Bulk("0.1.0");
  reply.Bulk("group");
  reply.Bulk(command.group);
  reply.Bulk("complexity");
  reply.Bulk("O(1)");
}

void AppendAllInfo(ReplyWriter& reply) {
  reply.Array(kCommands.size());
  for (const CommandInfo& command : kCommands) AppendInfo(command, reply);
}

void AppendDocsOf(std::span<const std::string_view> names, ReplyWriter& reply) {
  if (names.empty()) {
    reply.Map(kCommands.size());
    for (const CommandInfo& command : kCommands) AppendDocs(command, reply);
    return;
  }
  const auto known = std::ranges::count_if(names, [](std::string_view name) { return FindCommand(name) != nullptr; });
  reply.Map(static_cast<std::size_t>(known));
  for (const std::string_view name : names) {
    if (const CommandInfo* command = FindCommand(name)) AppendDocs(*command, reply);
  }
}

void AppendKeys(std::span<const std::string_view> arguments, ReplyWriter& reply) {
  const CommandInfo* command = arguments.empty() ? nullptr : FindCommand(arguments[0]);
  if (command == nullptr) return reply.Error("ERR Invalid command specified");
  if (command->first_key == 0) return reply.Error("ERR The command has no key arguments");
  if (command->first_key >= arguments.size()) {
    return reply.Error("ERR Invalid number of arguments specified for command");
  }
  reply.Array(1);
  reply.Bulk(arguments[command->first_key]);
}

}  // namespace

std::span<const CommandInfo> AllCommands() { return kCommands; }

const CommandInfo* FindCommand(std::string_view name) {
  // What nearly every command is, without a search.
  if (IsClThrottle(name)) return &kClThrottleInfo;
  if (name.empty() || name.size() > kLongestName) return nullptr;
  std::array<char, kLongestName> buffer;
  std::ranges::transform(name, buffer.begin(), Lower);
  const std::string_view lower(buffer.data(), name.size());
  const auto* found = std::ranges::lower_bound(kCommands, lower, {}, &CommandInfo::name);
  return found != kCommands.end() && found->name == lower ? found : nullptr;
}

ServeBit ServeBitOf(CommandId command) {
  switch (command) {
    case kClThrottle:
    case kThrottle:
      return {kServeThrottle, "throttle"};
    case kWeirCheck:
      return {kServeCheck, "check"};
    case kWeirPeek:
    case kWeirExplain:
      return {kServePeek, "peek"};
    case kWeirReserve:
    case kWeirCommit:
    case kWeirCancel:
    case kWeirExtend:
      return {kServeReserve, "reserve"};
    case kWeirRefund:
      return {kServeRefund, "refund"};
    case kWeirFeedback:
      return {kServeFeedback, "feedback"};
    case kWeirReset:
      return {kServeReset, "reset"};
    default:
      return {0, ""};
  }
}

bool ArityFits(const CommandInfo& command, std::size_t arguments) {
  const auto count = static_cast<std::ptrdiff_t>(arguments);
  return command.arity >= 0 ? count == command.arity : count >= -command.arity;
}

bool EqualsIgnoreCase(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() &&
         std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) { return Lower(a) == b; });
}

void AppendCommandReply(std::span<const std::string_view> arguments, ReplyWriter& reply) {
  if (arguments.size() == 1) return AppendAllInfo(reply);
  const std::string_view what = arguments[1];
  const auto rest = arguments.subspan(2);
  if (EqualsIgnoreCase(what, "count")) return reply.Integer(static_cast<std::int64_t>(kCommands.size()));
  if (EqualsIgnoreCase(what, "docs")) return AppendDocsOf(rest, reply);
  if (EqualsIgnoreCase(what, "getkeys")) return AppendKeys(rest, reply);
  if (EqualsIgnoreCase(what, "list")) {
    reply.Array(kCommands.size());
    for (const CommandInfo& command : kCommands) reply.Bulk(command.name);
    return;
  }
  if (EqualsIgnoreCase(what, "info")) {
    if (rest.empty()) return AppendAllInfo(reply);
    reply.Array(rest.size());
    for (const std::string_view name : rest) {
      const CommandInfo* command = FindCommand(name);
      command == nullptr ? reply.Null() : AppendInfo(*command, reply);
    }
    return;
  }
  AppendUnknownSubcommand(arguments, reply);
}

void AppendUnknownCommand(std::span<const std::string_view> arguments, ReplyWriter& reply) {
  constexpr std::size_t kMostText = 128;
  std::string shown;
  for (const std::string_view argument : arguments.subspan(1)) {
    if (shown.size() >= kMostText) break;
    const std::size_t room = kMostText - shown.size();
    shown += '\'';
    shown += argument.substr(0, room);
    shown += "' ";
  }
  reply.Error("ERR unknown command '" + std::string(arguments[0].substr(0, kMostText)) +
              "', with args beginning with: " + shown);
}

void AppendWrongArity(std::string_view command, ReplyWriter& reply) {
  reply.Error("ERR wrong number of arguments for '" + std::string(command) + "' command");
}

void AppendUnknownSubcommand(std::span<const std::string_view> arguments, ReplyWriter& reply) {
  std::string upper(arguments[0].substr(0, 32));
  std::ranges::transform(upper, upper.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  reply.Error("ERR unknown subcommand '" + std::string(arguments[1].substr(0, 128)) + "'. Try " + upper + " HELP.");
}

}  // namespace weir::resp
