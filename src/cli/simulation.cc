#include "cli/simulation.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "base/address.h"
#include "cli/access_log.h"
#include "engine/engine.h"

namespace weir::cli {
namespace {

constexpr std::size_t kMaxLine = 64 << 10;
constexpr std::size_t kMaxClients = 1'000'000;
constexpr std::size_t kSlices = 24;

// Counts by second while the log's length is unknown; folded to fewer, longer slices whenever there are too many.
class Timeline {
 public:
  void Add(Nanos time, bool allowed) {
    const Nanos start = time - ((time % length_) + length_) % length_;
    auto& slice = slices_[start];
    ++(allowed ? slice.allowed : slice.denied);
    if (slices_.size() > kMost) Fold();
  }

  std::vector<SimulationReport::Slice> Into(std::size_t count) const {
    if (slices_.empty()) return {};
    const Nanos first = slices_.begin()->first;
    const Nanos span = slices_.rbegin()->first - first + length_;
    const Nanos each = std::max<Nanos>((span + static_cast<Nanos>(count) - 1) / static_cast<Nanos>(count), length_);
    std::vector<SimulationReport::Slice> out(static_cast<std::size_t>((span + each - 1) / each));
    for (std::size_t i = 0; i < out.size(); ++i) out[i].start = first + static_cast<Nanos>(i) * each;
    for (const auto& [start, counted] : slices_) {
      auto& slice = out[static_cast<std::size_t>((start - first) / each)];
      slice.allowed += counted.allowed;
      slice.denied += counted.denied;
    }
    return out;
  }

 private:
  static constexpr std::size_t kMost = 4096;
  void Fold() {
    length_ *= 2;
    std::map<Nanos, SimulationReport::Slice> folded;
    for (const auto& [start, counted] : slices_) {
      auto& slice = folded[start - ((start % length_) + length_) % length_];
      slice.allowed += counted.allowed;
      slice.denied += counted.denied;
    }
    slices_ = std::move(folded);
  }
  Nanos length_ = kSecond;
  std::map<Nanos, SimulationReport::Slice> slices_;
};

struct ClientCount {
  std::uint64_t requests = 0, denied = 0;
  Nanos first_denied = 0, last_denied = 0;
  std::string rule;
};

class Replay {
 public:
  Replay(RateLimiter& limiter, ManualClock& clock) : limiter_(limiter), clock_(clock) {}

  void Line(std::string_view line) {
    ++report_.lines;
    const auto entry = ParseAccessLogLine(line);
    if (!entry) {
      if (report_.unreadable++ == 0) {
        report_.first_unreadable_line = report_.lines;
        report_.first_unreadable_why = entry.error().message;
      }
      return;
    }
    if (!ParseAddress(entry->address) && report_.not_addresses++ == 0) {
      report_.first_not_address_line = report_.lines;
      report_.first_not_address = entry->address;
    }
    if (report_.first == 0) report_.first = entry->time;
    report_.last = std::max(report_.last, entry->time);
    clock_.Set(report_.last);
    const std::array<Attribute, 2> headers = {{{"user-agent", entry->user_agent}, {"referer", entry->referer}}};
    Request request{.peer_ip = entry->address, .user = entry->user, .method = entry->method, .path = entry->target};
    request.headers = headers;
    Count(*entry, limiter_.Check(request));
  }

  SimulationReport Finish(std::uint32_t top) {
    report_.slices = timeline_.Into(kSlices);
    report_.unidentified = limiter_.engine().GetCounts().unidentified;
    report_.clients = clients_.size();
    for (const auto& [address, count] : clients_) {
      if (count.denied == 0) continue;
      report_.top_denied.push_back(
          {address, count.requests, count.denied, count.first_denied, count.last_denied, std::string(count.rule)});
    }
    const auto more = [](const auto& a, const auto& b) {
      return a.denied != b.denied ? a.denied > b.denied : a.address < b.address;
    };
    std::sort(report_.top_denied.begin(), report_.top_denied.end(), more);
    if (report_.top_denied.size() > top) report_.top_denied.resize(top);
    for (const auto& [rule, denied] : denied_clients_) report_.by_rule[std::string(rule)].clients = denied.size();
    return std::move(report_);
  }

 private:
  void Count(const AccessLogEntry& entry, const Decision& decision) {
    ++(decision.allowed ? report_.allowed : report_.denied);
    timeline_.Add(report_.last, decision.allowed);
    bool shadow_denied = false;
    for (std::uint32_t i = 0; i < decision.rule_count; ++i) {
      const RuleOutcome& rule = decision.rules()[i];
      if (rule.shadow && rule.outcome.verdict != Verdict::kAllowed) {
        shadow_denied = true;
        ++Rule(rule.rule).shadow_denied;
      }
    }
    if (shadow_denied) ++report_.shadow_denied;

    std::string address(entry.address);
    auto found = clients_.find(address);
    if (found == clients_.end() && clients_.size() < kMaxClients) found = clients_.try_emplace(address).first;
    if (found == clients_.end()) ++report_.clients_untracked;
    if (found != clients_.end()) ++found->second.requests;
    if (decision.allowed) return;
    const RuleOutcome* decider = decision.decider();
    const std::string_view rule = decider != nullptr ? decider->rule : ToString(decision.reason);
    ++Rule(rule).denied;
    if (found == clients_.end()) return;
    denied_clients_[rule].insert(&found->first);
    ClientCount& client = found->second;
    if (client.denied++ == 0) {
      client.first_denied = report_.last;
      client.rule = rule;
    }
    client.last_denied = report_.last;
  }

  SimulationReport::ByRule& Rule(std::string_view name) {
    const auto found = report_.by_rule.find(name);
    return found != report_.by_rule.end() ? found->second : report_.by_rule[std::string(name)];
  }

  RateLimiter& limiter_;
  ManualClock& clock_;
  SimulationReport report_;
  Timeline timeline_;
  std::unordered_map<std::string, ClientCount> clients_;
  std::map<std::string_view, std::unordered_set<const std::string*>> denied_clients_;
};

// getline with a bound: a longer line is read to its end and given cut.
bool ReadLine(std::istream& in, std::string& line) {
  line.clear();
  std::streambuf& buffer = *in.rdbuf();
  bool any = false;
  for (int c = buffer.sbumpc(); c != std::streambuf::traits_type::eof(); c = buffer.sbumpc()) {
    any = true;
    if (c == '\n') return true;
    if (line.size() < kMaxLine) line.push_back(static_cast<char>(c));
  }
  return any;
}

}  // namespace

Result<SimulationReport> Simulate(EnterpriseRateLimitConfig config, std::istream& log,
                                  const SimulationOptions& options) {
  MemoryStorage memory;
  if (const auto* written = std::get_if<MemoryStorage>(&config.storage.kind)) memory.max_entries = written->max_entries;
  config.storage.kind = memory;
  // A denial of the past is no event.
  config.analytics.event_logging = false;
  ManualClock clock(0);
  auto limiter = RateLimiter::Create(config, {.clock = &clock, .extractors = {}});
  if (!limiter) return std::unexpected(limiter.error());
  Replay replay(**limiter, clock);
  std::uint64_t bytes = 0, lines = 0;
  for (std::string line; ReadLine(log, line);) {
    replay.Line(line);
    bytes += line.size() + 1;
    if (++lines % 65'536 == 0 && options.progress) options.progress(bytes, lines);
  }
  return replay.Finish(options.top);
}

}  // namespace weir::cli
