// What the gRPC sessions of one server did, for metrics. Thread-safe; counting is a relaxed add on a cache line that
// few threads share.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "frontends/rls/http2/service.h"

namespace weir::rls {

// Why a session ended a connection.
enum class Abuse : std::uint8_t { kRapidReset, kFrameFlood, kHeaderFlood, kSlowReader };
inline constexpr std::size_t kAbuses = 4;
std::string_view AbuseName(Abuse abuse);

class CallCounters {
 public:
  // `services` outlive it; the same, in the same order, as the sessions' GrpcOptions::services.
  explicit CallCounters(const std::vector<Service*>& services);

  // `method`: the index over the methods of all services, one after the other; kUnknownMethod for a path that is none.
  static constexpr std::uint32_t kUnknownMethod = ~std::uint32_t{0};
  void Answered(std::uint32_t method, Code code);
  void Ended(Abuse abuse);

  struct Row {
    std::string_view method;  // "/grpc.health.v1.Health/Check", "unknown"
    Code code;
    std::uint64_t count;
  };
  // Those that are not 0.
  std::vector<Row> Answers() const;
  std::uint64_t Ends(Abuse abuse) const;

 private:
  static constexpr std::size_t kShards = 8;
  static constexpr std::size_t kCodes = 17;
  struct alignas(64) Shard {
    std::vector<std::atomic<std::uint64_t>> counts;
  };
  std::vector<std::string_view> methods_;  // the last is "unknown"
  std::array<Shard, kShards> shards_;
  std::array<std::atomic<std::uint64_t>, kAbuses> ends_{};
};

}  // namespace weir::rls
