// RESP from first byte to last reply: input in two pieces and in one must give the same replies, and nothing may break.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "base/manual_clock.h"
#include "engine/engine.h"
#include "frontends/resp/session.h"
#include "net/fake_connection.h"
#include "storage/memory/memory_store.h"

namespace {

struct Replies {
  std::string bytes;
  bool closed = false;
};

weir::EnterpriseRateLimitConfig Config() {
  weir::EnterpriseRateLimitConfig config;
  weir::RateLimitRule rule;
  rule.max_requests = 5;
  rule.window_seconds = 60;
  rule.identifier = weir::EnhancedIdentifier{weir::UserId{}};
  rule.algorithm = weir::TokenBucket{};
  config.global.free_tier = config.global.pro_tier = config.global.enterprise_tier = rule;
  rule.algorithm = weir::Adaptive{};
  config.endpoints["/learned"].rule = rule;
  return config;
}

// The first byte chooses the password and where to cut.
Replies Run(std::string_view input, std::size_t cut, bool password) {
  static const weir::ManualClock clock;
  weir::storage::memory::MemoryStoreOptions store_options;
  store_options.max_entries = 1'000;
  store_options.secret = 1;
  auto store = weir::storage::memory::MemoryStore::Create(store_options);
  if (!store) std::abort();
  weir::engine::EngineOptions engine_options;
  engine_options.clock = &clock;
  auto engine = weir::engine::Engine::Create(Config(), std::move(*store), std::move(engine_options));
  if (!engine) std::abort();

  weir::net::FakeConnection connection;
  weir::resp::RespOptions options;
  options.engine = engine->get();
  options.serve = weir::resp::kServeAll;
  if (password) options.passwords = weir::SecretSet({"secret"});
  const auto session = weir::resp::MakeRespSession(connection, options);
  connection.Attach(session.get());
  connection.Receive(input.substr(0, cut));
  connection.Receive(input.substr(cut));
  if (connection.unflushed() || connection.paused()) std::abort();
  Replies replies{connection.TakeOutput(), connection.closing()};
  connection.StartDrain();
  return replies;
}

// Numbers that are drawn anew: ids of clients and reservations.
bool HasIds(std::string_view input) {
  std::string lower;
  for (const char c : input) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  for (const std::string_view word : {"hello", "client", "weir.reserve", "info"}) {
    if (lower.find(word) != std::string::npos) return true;
  }
  return lower.find("\\x") != std::string::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool password = (data[0] & 1U) != 0;
  const std::size_t cut = input.empty() ? 0 : (data[0] >> 1U) % (input.size() + 1);
  const Replies pieces = Run(input, cut, password);
  const Replies whole = Run(input, input.size(), password);
  if (pieces.closed != whole.closed) std::abort();
  if (!HasIds(input) && pieces.bytes != whole.bytes) std::abort();
  return 0;
}
