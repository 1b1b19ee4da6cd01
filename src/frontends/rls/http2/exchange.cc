#include "frontends/rls/http2/exchange.h"

#include <vector>

namespace weir::rls {
namespace {

// As many as a busy connection has at once.
constexpr std::size_t kPooled = 256;

std::vector<std::unique_ptr<Exchange>>& Pool() {
  thread_local std::vector<std::unique_ptr<Exchange>> pool;
  return pool;
}

}  // namespace

Exchange* Exchanges::Acquire() {
  auto& pool = Pool();
  if (pool.empty()) return new Exchange;
  Exchange* const exchange = pool.back().release();
  pool.pop_back();
  return exchange;
}

void Exchanges::Release(Exchange* exchange) {
  std::unique_ptr<Exchange> owned(exchange);
  auto& pool = Pool();
  if (pool.size() >= kPooled) return;
  owned->Reset();
  pool.push_back(std::move(owned));
}

}  // namespace weir::rls
