#include "storage/redis/redis_admin.h"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <iterator>
#include <memory>
#include <mutex>
#include <utility>

#include "algorithms/instant.h"
#include "io/steady.h"
#include "storage/redis/key_name.h"

namespace weir::storage::redis {
namespace {

// Commands of one submission: what is read at once is bounded, as a log's state can be large.
constexpr std::size_t kAtOnce = 200;

// The replies to the commands of one submission, and who waits for them. Shared by its exchanges, one for each command.
struct Gathering {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Reply> replies;
  std::size_t left = 0;
  bool failed = false;

  void Take(std::size_t place, Reply reply) {
    const std::lock_guard lock(mutex);
    replies[place] = std::move(reply);
    if (--left == 0) changed.notify_all();
  }
  void Fail() {
    const std::lock_guard lock(mutex);
    failed = true;
    if (--left == 0) changed.notify_all();
  }
};

class GatherExchange final : public Exchange {
 public:
  GatherExchange(std::shared_ptr<Gathering> gathering, std::size_t place)
      : gathering_(std::move(gathering)), place_(place) {}
  void OnReply(Connection&, Reply reply) override { gathering_->Take(place_, std::move(reply)); }
  void OnFailure(Failure) override { gathering_->Fail(); }

 private:
  const std::shared_ptr<Gathering> gathering_;
  const std::size_t place_;
};

// Sends the commands over one connection and waits for all replies, error replies excluded.
Result<std::vector<Reply>> Exchanged(Pool& pool, std::span<const Command> commands) {
  const auto gathering = std::make_shared<Gathering>();
  gathering->replies.resize(commands.size());
  gathering->left = commands.size();
  auto submission = std::make_unique<Submission>();
  submission->deadline = io::SteadyNow() + RedisAdmin::kAnswerWithin;
  for (std::size_t i = 0; i < commands.size(); ++i) {
    commands[i].AppendTo(submission->bytes);
    submission->exchanges.push_back(std::make_unique<GatherExchange>(gathering, i));
  }
  if (!pool.Submit(std::move(submission))) return Fail(ErrorCode::kUnavailable, "the store is closed");
  std::unique_lock lock(gathering->mutex);
  gathering->changed.wait(lock, [&] { return gathering->left == 0; });
  if (gathering->failed) return Fail(ErrorCode::kUnavailable, "redis does not answer");
  for (const Reply& reply : gathering->replies) {
    if (reply.IsError()) return Fail(ErrorCode::kUnavailable, "redis refused: " + reply.text);
  }
  return std::move(gathering->replies);
}

// SCAN's pattern takes these for more than themselves.
std::string Quoted(std::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (std::string_view("*?[]\\^-").find(c) != std::string_view::npos) quoted.push_back('\\');
    quoted.push_back(c);
  }
  return quoted;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The rule as it was before AppendKeyName: whole, unless it was too long, and then as it stands.
std::string RuleOf(std::string_view encoded) {
  std::string rule;
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    if (encoded[i] != '%' || i + 2 >= encoded.size()) {
      rule.push_back(encoded[i]);
      continue;
    }
    const int high = HexDigit(encoded[i + 1]), low = HexDigit(encoded[i + 2]);
    if (high < 0 || low < 0) return std::string(encoded);
    rule.push_back(static_cast<char>(high << 4 | low));
    i += 2;
  }
  return rule;
}

// "#" and 32 hex digits: how a subject is named that is not plain text.
bool ReadKey(std::string_view subject, Key& key) {
  if (subject.size() != 33 || subject[0] != '#') return false;
  const auto read = [&](std::size_t from, std::uint64_t& to) {
    const char* const begin = subject.data() + from;
    const auto [end, fault] = std::from_chars(begin, begin + 16, to, 16);
    return fault == std::errc{} && end == begin + 16;
  };
  return read(1, key.hi) && read(17, key.lo);
}

StateName NameOf(std::string_view prefix, const std::string& place) {
  StateName name{.rule = {}, .subject = {}, .key = {}, .place = place};
  std::string_view rest = place;
  rest.remove_prefix(prefix.size() + kKeyVersion.size() + 1);
  const std::size_t colon = rest.find(':');
  if (colon == std::string_view::npos) return name;
  name.rule = RuleOf(rest.substr(0, colon));
  const std::string_view subject = rest.substr(colon + 1);
  if (!ReadKey(subject, name.key)) name.subject = subject;
  return name;
}

}  // namespace

std::string RedisAdmin::KeyOf(const StateName& name) const {
  std::string key;
  if (!name.place.empty()) return name.place;
  AppendKeyName(key, prefix_, name.rule, name.subject, name.key);
  return key;
}

// The states under the keys; without those that are gone.
Result<std::vector<StateRecord>> RedisAdmin::Read(std::span<const std::string> keys, Nanos now) {
  std::vector<StateRecord> states;
  std::vector<Command> commands;
  for (const std::string& key : keys) {
    commands.push_back({"GET", key});
    commands.push_back({"PTTL", key});
  }
  if (commands.empty()) return states;
  const auto replies = Exchanged(pool_, commands);
  if (!replies) return std::unexpected(replies.error());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const Reply& value = (*replies)[2 * i];
    const std::int64_t ttl = (*replies)[2 * i + 1].integer;
    if (value.type != ReplyType::kString || ttl < -1) continue;
    // Somebody took the TTL away: as good as for ever.
    const Nanos lives = ttl < 0 ? algorithms::kLongestWindow : ttl * kMillisecond;
    states.push_back({.form = StateForm::kRedis,
                      .name = NameOf(prefix_, keys[i]),
                      .expires = algorithms::SaturatingAdd(now, lives),
                      .words = {},
                      .bytes = value.text});
  }
  return states;
}

Result<Admin::Page> RedisAdmin::Scan(std::string_view cursor, std::size_t most, Nanos now) {
  now = algorithms::ClampNow(now);
  if (most == 0 || most > kMostScanned) return Fail(ErrorCode::kInvalidArgument, "a page holds 1 to 10000 states");
  if (cursor.empty()) cursor = "0";
  const bool digits = std::ranges::all_of(cursor, [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || cursor.size() > 20) {
    return Fail(ErrorCode::kInvalidArgument, "a cursor that this store did not give out");
  }
  // SCAN looks at so many keys, of which few may be of this store.
  const std::string count = std::to_string(std::clamp<std::size_t>(most, 100, kAtOnce));
  const Command scan{"SCAN", cursor, "MATCH", Quoted(prefix_ + std::string(kKeyVersion) + ":") + "*:*", "COUNT", count};
  const auto replies = Exchanged(pool_, {&scan, 1});
  if (!replies) return std::unexpected(replies.error());
  const Reply& reply = (*replies)[0];
  if (reply.type != ReplyType::kArray || reply.elements.size() != 2) {
    return Fail(ErrorCode::kUnavailable, "redis answered SCAN with something else");
  }
  Page page;
  if (reply.elements[0].text != "0") page.next = reply.elements[0].text;
  std::vector<std::string> keys;
  for (const Reply& key : reply.elements[1].elements) keys.push_back(key.text);
  for (std::span<const std::string> rest = keys; !rest.empty();) {
    const auto some = rest.first(std::min(rest.size(), kAtOnce));
    rest = rest.subspan(some.size());
    auto states = Read(some, now);
    if (!states) return std::unexpected(states.error());
    std::ranges::move(*states, std::back_inserter(page.states));
  }
  return page;
}

Result<std::optional<StateRecord>> RedisAdmin::Get(const StateName& name, Nanos now) {
  const std::string key = KeyOf(name);
  auto states = Read({&key, 1}, algorithms::ClampNow(now));
  if (!states) return std::unexpected(states.error());
  if (states->empty()) return std::optional<StateRecord>();
  return std::move(states->front());
}

Result<bool> RedisAdmin::Reset(const StateName& name) {
  const Command command{"DEL", KeyOf(name)};
  const auto replies = Exchanged(pool_, {&command, 1});
  if (!replies) return std::unexpected(replies.error());
  return (*replies)[0].integer == 1;
}

Result<Admin::Imported> RedisAdmin::Import(std::span<const StateRecord> states, Nanos now) {
  now = algorithms::ClampNow(now);
  const std::string own = prefix_ + std::string(kKeyVersion) + ":";
  for (const StateRecord& state : states) {
    const bool named = state.name.place.empty() ? !state.name.rule.empty() : state.name.place.starts_with(own);
    if (state.form != StateForm::kRedis || !named) {
      return Fail(ErrorCode::kFailedPrecondition, "a state of another store: redis takes what redis gave out, by name");
    }
  }
  Imported report;
  std::vector<Command> commands;
  const auto send = [&]() -> Result<> {
    if (commands.empty()) return {};
    const auto replies = Exchanged(pool_, commands);
    if (!replies) return std::unexpected(replies.error());
    for (const Reply& reply : *replies) ++(reply.IsStatus("OK") ? report.taken : report.present);
    commands.clear();
    return {};
  };
  for (const StateRecord& state : states) {
    if (state.expires <= now) {
      ++report.expired;
      continue;
    }
    const Nanos lives = (state.expires - now + kMillisecond - 1) / kMillisecond;
    commands.push_back({"SET", KeyOf(state.name), state.bytes, "PX", std::to_string(lives), "NX"});
    if (commands.size() < kAtOnce) continue;
    if (auto sent = send(); !sent) return std::unexpected(sent.error());
  }
  if (auto sent = send(); !sent) return std::unexpected(sent.error());
  return report;
}

}  // namespace weir::storage::redis
