// What a limiter is made of besides its engine: for those who show how it fares.
#pragma once

#include <functional>
#include <vector>

#include "base/metric_sink.h"

namespace weir::library {

struct Internals {
  // Each part that counts something writes it down. They may be called as long as the limiter lives, from any thread.
  std::vector<std::function<void(MetricSink&)>> describe;
};

}  // namespace weir::library
