#include "cli/admin/top_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <tuple>

#include "cli/admin/values.h"
#include "cli/terminal.h"

namespace weir::cli::admin {

namespace json = boost::json;

namespace {

double NumberAt(const json::value& value, std::string_view path) {
  const json::value* const found = At(value, path);
  if (found == nullptr || !found->is_number()) return 0;
  boost::system::error_code fault;
  const auto number = found->to_number<double>(fault);
  return fault ? 0 : number;
}

std::uint64_t CountAt(const json::value& value, std::string_view path) {
  return static_cast<std::uint64_t>(std::max(0.0, NumberAt(value, path)));
}

std::string Rate(double rate) {
  return rate >= 100 ? Count(static_cast<std::uint64_t>(std::llround(rate))) : fmt::format("{:.1f}", rate);
}

void Keep(std::deque<double>& values, double value) {
  values.push_back(value);
  if (values.size() > TopView::kKept) values.pop_front();
}

}  // namespace

std::string Curve(const std::deque<double>& values) {
  constexpr const char* kBars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  if (values.empty()) return {};
  const double most = std::max(*std::ranges::max_element(values), 1e-9);
  std::string out;
  for (const double value : values) {
    const double share = std::clamp(value / most, 0.0, 1.0);
    out += kBars[static_cast<std::size_t>(std::lround(share * 7))];
  }
  return out;
}

void TopView::Add(const json::value& stats, double seconds) {
  const double allowed_before = NumberAt(stats_, "allowed"), denied_before = NumberAt(stats_, "denied");
  const auto rate = [&](double now, double before) { return now < before ? 0 : (now - before) / seconds; };
  std::map<std::string, Rule> rules;
  const json::value* const list = At(stats, "rules");
  for (const json::value& one : list != nullptr && list->is_array() ? list->get_array() : json::array()) {
    Rule rule{.name = TextAt(one, "rule"), .level = TextAt(one, "level"), .tier = TextAt(one, "tier")};
    if (const std::string detail = TextAt(one, "detail"); !detail.empty()) rule.name += " " + detail;
    rule.allowed = CountAt(one, "allowed");
    rule.denied = CountAt(one, "denied");
    rule.shadow_denied = CountAt(one, "shadow_denied");
    const std::string key = rule.name + '\n' + rule.level + '\n' + rule.tier;
    if (const auto before = rules_.find(key); seconds > 0) {
      const bool known = before != rules_.end();
      rule.allowed_rate =
          rate(static_cast<double>(rule.allowed), known ? static_cast<double>(before->second.allowed) : 0);
      rule.denied_rate = rate(static_cast<double>(rule.denied), known ? static_cast<double>(before->second.denied) : 0);
    }
    rules[key] = std::move(rule);
  }
  if (seconds > 0) {
    Keep(allowed_, rate(NumberAt(stats, "allowed"), allowed_before));
    Keep(denied_, rate(NumberAt(stats, "denied"), denied_before));
    rated_ = true;
  }
  rules_ = std::move(rules);
  stats_ = stats;
}

std::string TopView::Text(const std::string& title, std::size_t width, std::size_t height) const {
  // The latest second where there is one, else the server's own mean of its last minute.
  const double allowed = rated_ ? allowed_.back() : NumberAt(stats_, "allowed_per_second");
  const double denied = rated_ ? denied_.back() : NumberAt(stats_, "denied_per_second");
  const double share = allowed + denied > 0 ? denied * 100 / (allowed + denied) : 0;
  std::string out = Coloured(title, Colour::kBold) + '\n';
  out += fmt::format("requests/s {}   allowed/s {}   denied/s {} ({:.1f} %)\n", Rate(allowed + denied), Rate(allowed),
                     Rate(denied), share);
  out += fmt::format("active limits {}   users {}   tenants {}   store failures {}   reservations {}\n",
                     Count(CountAt(stats_, "active_limits")), Count(CountAt(stats_, "users")),
                     Count(CountAt(stats_, "tenants")), Count(CountAt(stats_, "store_failures")),
                     Count(CountAt(stats_, "reservations_open")));
  if (NumberAt(stats_, "latency.timed") > 0) {
    out += fmt::format("a decision takes {} us (p50), {} us (p99), {} us (p99.9)\n",
                       Rate(NumberAt(stats_, "latency.p50_us")), Rate(NumberAt(stats_, "latency.p99_us")),
                       Rate(NumberAt(stats_, "latency.p999_us")));
  }
  if (rated_ && width >= kKept + 10) {
    out += fmt::format("allowed  {}\ndenied   {}\n", Coloured(Curve(allowed_), Colour::kGreen),
                       Coloured(Curve(denied_), Colour::kRed));
  }
  std::vector<const Rule*> hottest;
  for (const auto& [key, rule] : rules_) hottest.push_back(&rule);
  std::ranges::sort(hottest, [](const Rule* a, const Rule* b) {
    const auto heat = [](const Rule& rule) {
      return std::tuple(rule.allowed_rate + rule.denied_rate, rule.allowed + rule.denied);
    };
    return heat(*a) != heat(*b) ? heat(*a) > heat(*b) : std::tie(a->name, a->tier) < std::tie(b->name, b->tier);
  });
  std::vector<std::vector<std::string>> rows{
      {"rule", "level", "tier", "allowed/s", "denied/s", "allowed", "denied", "would deny"}};
  const std::size_t used = static_cast<std::size_t>(std::ranges::count(out, '\n')) + 3;
  for (const Rule* rule : hottest) {
    if (height > 0 && rows.size() + used > height) break;
    rows.push_back({rule->name, rule->level, rule->tier, rated_ ? Rate(rule->allowed_rate) : "-",
                    rated_ ? Rate(rule->denied_rate) : "-", Count(rule->allowed), Count(rule->denied),
                    Count(rule->shadow_denied)});
  }
  out += '\n' + Table(rows, width);
  return out;
}

std::string TopView::Line(const json::value& stats) {
  return fmt::format("{}  requests/s {}  allowed/s {}  denied/s {}  active limits {}", Printable(TextAt(stats, "time")),
                     Rate(NumberAt(stats, "requests_per_second")), Rate(NumberAt(stats, "allowed_per_second")),
                     Rate(NumberAt(stats, "denied_per_second")), Count(CountAt(stats, "active_limits")));
}

}  // namespace weir::cli::admin
