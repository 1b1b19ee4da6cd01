// What `weir top` shows, as text: pure, so that a test can look at it.
#pragma once

#include <boost/json/value.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

namespace weir::cli::admin {

// Successive answers of /stats, and what follows from two of them: rates of the rules.
class TopView {
 public:
  // Points of the curves: a minute of one a second.
  static constexpr std::size_t kKept = 60;

  // `seconds` since the one before; 0: unknown, and there are no rates of rules yet.
  void Add(const boost::json::value& stats, double seconds);

  // At most `height` lines of `width` characters; 0: no bound. `title` is the first.
  std::string Text(const std::string& title, std::size_t width, std::size_t height) const;
  // One line: time, rates.
  static std::string Line(const boost::json::value& stats);

 private:
  struct Rule {
    std::string name, level, tier;
    std::uint64_t allowed = 0, denied = 0, shadow_denied = 0;
    double allowed_rate = 0, denied_rate = 0;
  };
  boost::json::value stats_;
  std::map<std::string, Rule> rules_;
  std::deque<double> allowed_, denied_;
  bool rated_ = false;
};

// "▁▂▃▄▅▆▇█" for values from 0 to the largest; empty for none.
std::string Curve(const std::deque<double>& values);

}  // namespace weir::cli::admin
