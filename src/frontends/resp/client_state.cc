#include "frontends/resp/client_state.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <utility>

#include "frontends/resp/commands.h"

namespace weir::resp {
namespace {

constexpr std::string_view kVersion = "0.1.0";
// The Redis whose protocol this speaks; some clients choose their commands by it.
constexpr std::string_view kRedisVersion = "7.0.15";
constexpr std::size_t kLongestName = 256;

std::uint64_t NextId() {
  static std::atomic<std::uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

bool IsPlainName(std::string_view name) {
  return name.size() <= kLongestName && std::ranges::all_of(name, [](char c) { return c >= '!' && c <= '~'; });
}

std::string_view HealthName(storage::Health health) {
  switch (health) {
    case storage::Health::kUp:
      return "up";
    case storage::Health::kDegraded:
      return "degraded";
    case storage::Health::kDown:
      return "down";
  }
  return "unknown";
}

void AppendField(std::string_view name, std::string_view value, std::string* out) {
  *out += name;
  *out += ':';
  *out += value;
  *out += "\r\n";
}

void AppendField(std::string_view name, std::uint64_t value, std::string* out) {
  AppendField(name, std::to_string(value), out);
}

}  // namespace

ClientState::ClientState(const SecretSet& passwords, std::string_view peer_address)
    : passwords_(passwords),
      peer_(peer_address.empty() ? "unix" : peer_address),
      id_(NextId()),
      authenticated_(passwords.empty()) {}

bool ClientState::CheckPassword(std::string_view user, std::string_view password) {
  const bool right = passwords_.Has(password);
  if (right && user == "default") {
    authenticated_ = true;
    return true;
  }
  ++failures_;
  return false;
}

void ClientState::Auth(Arguments arguments, std::string* out) {
  ReplyWriter reply(*out, protocol_);
  if (arguments.size() > 3) return reply.Error("ERR syntax error");
  if (passwords_.empty()) {
    if (arguments.size() == 3 && arguments[1] == "default") return reply.Simple("OK");
    return reply.Error(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        "configuration is correct?");
  }
  const std::string_view user = arguments.size() == 3 ? arguments[1] : "default";
  if (!CheckPassword(user, arguments.back())) {
    return reply.Error("WRONGPASS invalid username-password pair or user is disabled.");
  }
  reply.Simple("OK");
}

void ClientState::Hello(Arguments arguments, std::string* out) {
  Protocol wanted = protocol_;
  std::string_view name;
  bool named = false;
  ReplyWriter before(*out, protocol_);
  if (arguments.size() > 1) {
    int version = 0;
    const std::string_view text = arguments[1];
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
    if (error != std::errc{} || end != text.data() + text.size()) {
      return before.Error("ERR Protocol version is not an integer or out of range");
    }
    if (version != 2 && version != 3) return before.Error("NOPROTO unsupported protocol version");
    wanted = static_cast<Protocol>(version);
  }
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    const std::size_t left = arguments.size() - i - 1;
    if (EqualsIgnoreCase(arguments[i], "auth") && left >= 2) {
      if (passwords_.empty() ? arguments[i + 1] != "default" : !CheckPassword(arguments[i + 1], arguments[i + 2])) {
        return before.Error("WRONGPASS invalid username-password pair or user is disabled.");
      }
      i += 2;
    } else if (EqualsIgnoreCase(arguments[i], "setname") && left >= 1) {
      name = arguments[++i];
      named = true;
      if (!IsPlainName(name)) {
        return before.Error("ERR Client names cannot contain spaces, newlines or special characters.");
      }
    } else {
      return before.Error("ERR Syntax error in HELLO option '" + std::string(arguments[i].substr(0, 128)) + "'");
    }
  }
  if (!authenticated_) {
    return before.Error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> "
        "<pass> option can be used to authenticate the client and select the RESP protocol version at the same time");
  }
  if (named) name_ = name;
  protocol_ = wanted;

  ReplyWriter reply(*out, protocol_);
  reply.Map(7);
  reply.Bulk("server");
  reply.Bulk("weir");
  reply.Bulk("version");
  reply.Bulk(kVersion);
  reply.Bulk("proto");
  reply.Integer(std::to_underlying(protocol_));
  reply.Bulk("id");
  reply.Integer(static_cast<std::int64_t>(id_));
  reply.Bulk("mode");
  reply.Bulk("standalone");
  reply.Bulk("role");
  reply.Bulk("master");
  reply.Bulk("modules");
  reply.Array(0);
}

bool ClientState::SetName(std::string_view name) {
  if (!IsPlainName(name)) return false;
  name_ = name;
  return true;
}

std::string ClientState::Describe() const {
  return "id=" + std::to_string(id_) + " addr=" + peer_ + " name=" + name_ +
         " db=0 user=default lib-name=" + library_name_ + " lib-ver=" + library_version_ +
         " resp=" + std::to_string(std::to_underlying(protocol_)) + "\n";
}

void ClientState::Client(Arguments arguments, std::string* out) {
  ReplyWriter reply(*out, protocol_);
  const std::string_view what = arguments[1];
  const std::size_t count = arguments.size();
  const auto is = [what](std::string_view name) { return EqualsIgnoreCase(what, name); };
  const auto last_is = [&](std::string_view value) { return EqualsIgnoreCase(arguments.back(), value); };
  if (is("id") && count == 2) return reply.Integer(static_cast<std::int64_t>(id_));
  if (is("getname") && count == 2) return name_.empty() ? reply.Null() : reply.Bulk(name_);
  if ((is("info") && count == 2) || is("list")) return reply.Text(Describe());
  if (is("setname") && count == 3) {
    if (SetName(arguments[2])) return reply.Simple("OK");
    return reply.Error("ERR Client names cannot contain spaces, newlines or special characters.");
  }
  if (is("setinfo") && count == 4) {
    const bool is_name = EqualsIgnoreCase(arguments[2], "lib-name");
    if (!is_name && !EqualsIgnoreCase(arguments[2], "lib-ver")) {
      return reply.Error("ERR Unrecognized option '" + std::string(arguments[2].substr(0, 128)) + "'");
    }
    if (!IsPlainName(arguments[3])) {
      return reply.Error("ERR " + std::string(is_name ? "lib-name" : "lib-ver") +
                         " cannot contain spaces, newlines or special characters.");
    }
    (is_name ? library_name_ : library_version_) = arguments[3];
    return reply.Simple("OK");
  }
  // What is asked for here holds anyway: no key is ever evicted, touched or tracked for a client.
  if ((is("no-evict") || is("no-touch")) && count == 3 && (last_is("on") || last_is("off"))) return reply.Simple("OK");
  if (is("reply") && count == 3 && last_is("on")) return reply.Simple("OK");
  if (is("tracking") && count == 3 && last_is("off")) return reply.Simple("OK");
  for (const std::string_view known : {"id", "getname", "info", "setname", "setinfo", "no-evict", "no-touch"}) {
    if (is(known)) return AppendWrongArity("client|" + std::string(known), reply);
  }
  AppendUnknownSubcommand(arguments, reply);
}

void ClientState::Reset(std::string* out) {
  protocol_ = Protocol::kResp2;
  authenticated_ = passwords_.empty();
  name_.clear();
  ReplyWriter(*out, protocol_).Simple("RESET");
}

void ClientState::Select(Arguments arguments, std::string* out) const {
  ReplyWriter reply(*out, protocol_);
  int index = -1;
  const std::string_view text = arguments[1];
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return reply.Error("ERR value is not an integer or out of range");
  }
  index == 0 ? reply.Simple("OK") : reply.Error("ERR DB index is out of range");
}

void ClientState::Config(Arguments arguments, std::string* out) const {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kParameters = {
      {{"save", ""}, {"appendonly", "no"}, {"databases", "1"}}};
  ReplyWriter reply(*out, protocol_);
  if (!EqualsIgnoreCase(arguments[1], "get")) return AppendUnknownSubcommand(arguments, reply);
  if (arguments.size() < 3) return AppendWrongArity("config|get", reply);
  const auto wanted = [&](std::string_view name) {
    return std::ranges::any_of(arguments.subspan(2), [name](std::string_view pattern) {
      return pattern == "*" || EqualsIgnoreCase(pattern, name);
    });
  };
  reply.Map(static_cast<std::size_t>(
      std::ranges::count_if(kParameters, [&](const auto& parameter) { return wanted(parameter.first); })));
  for (const auto& [name, value] : kParameters) {
    if (!wanted(name)) continue;
    reply.Bulk(name);
    reply.Bulk(value);
  }
}

void ClientState::Ping(Arguments arguments, std::string* out) const {
  ReplyWriter reply(*out, protocol_);
  if (arguments.size() > 2) return AppendWrongArity("ping", reply);
  arguments.size() == 2 ? reply.Bulk(arguments[1]) : reply.Simple("PONG");
}

void ClientState::Info(const engine::Engine& engine, std::string* out) const {
  // Gathering counts of every rule is for scrapes: here only what is at hand.
  const storage::Store& store = const_cast<engine::Engine&>(engine).store();
  const storage::StoreStats stats = store.Stats();
  std::string text = "# Server\r\n";
  AppendField("redis_version", kRedisVersion, &text);
  AppendField("redis_mode", "standalone", &text);
  AppendField("weir_version", kVersion, &text);
  AppendField("process_id", static_cast<std::uint64_t>(getpid()), &text);
  text += "\r\n# Replication\r\n";
  AppendField("role", "master", &text);
  AppendField("connected_slaves", std::uint64_t{0}, &text);
  text += "\r\n# Store\r\n";
  AppendField("store", store.Name(), &text);
  AppendField("store_health", HealthName(store.GetHealth()), &text);
  AppendField("store_entries", stats.entries, &text);
  AppendField("store_capacity", stats.capacity, &text);
  AppendField("used_memory", stats.bytes, &text);
  AppendField("evicted_keys", stats.evicted_live, &text);
  AppendField("expired_keys", stats.reclaimed, &text);
  text += "\r\n# Configuration\r\n";
  AppendField("config_version", engine.snapshot()->version(), &text);
  text += "\r\n# Cluster\r\n";
  AppendField("cluster_enabled", std::uint64_t{0}, &text);
  ReplyWriter(*out, protocol_).Text(text);
}

}  // namespace weir::resp
