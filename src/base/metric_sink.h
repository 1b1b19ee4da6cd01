// What a part of the program counts, written down for whoever shows it: the parts know nothing of the page, and the
// page nothing of the parts.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

namespace weir {

struct MetricLabel {
  std::string_view name;
  std::string_view value;
};

// Not thread-safe. Names are Prometheus' ("weir_store_entries", counters end in _total) and mean one thing everywhere:
// the help of a name is always the same. Texts are copied.
class MetricSink {
 public:
  using Labels = std::initializer_list<MetricLabel>;

  // Only ever grows while the process lives.
  void Counter(std::string_view name, std::string_view help, std::uint64_t value, Labels labels = {}) {
    AddMetric(Kind::kCounter, name, help, static_cast<double>(value), {labels.begin(), labels.size()});
  }
  // Stands for now.
  void Gauge(std::string_view name, std::string_view help, double value, Labels labels = {}) {
    AddMetric(Kind::kGauge, name, help, value, {labels.begin(), labels.size()});
  }

 protected:
  enum class Kind : std::uint8_t { kCounter, kGauge };
  ~MetricSink() = default;

 private:
  virtual void AddMetric(Kind kind, std::string_view name, std::string_view help, double value,
                         std::span<const MetricLabel> labels) = 0;
};

}  // namespace weir
