#include "cli/simulation.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/address.h"
#include "base/manual_clock.h"
#include "cli/access_log.h"
#include "engine/engine.h"
#include "weir/rate_limiter.h"

namespace weir::cli {
namespace {

constexpr std::size_t kMaxClients = 1'000'000;
constexpr std::size_t kMaxPaths = 100'000;
constexpr std::size_t kLongestPath = 1024;
constexpr std::size_t kSlices = 24;

struct ClientCount {
  std::uint64_t requests = 0, denied = 0;
  Nanos first_denied = 0, last_denied = 0;
  std::string rule;
};

struct PathCount {
  std::uint64_t requests = 0, denied = 0;
};

std::string_view WithoutQuery(std::string_view target) {
  return target.substr(0, std::min(target.find('?'), kLongestPath));
}

class Replay {
 public:
  Replay(RateLimiter& limiter, ManualClock& clock) : limiter_(limiter), clock_(clock) {
    const auto snapshot = limiter.engine().snapshot();
    v4_bits_ = snapshot->ipv4_prefix();
    v6_bits_ = snapshot->ipv6_prefix();
  }

  void Line(std::string_view line) {
    ++report_.lines;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) {
      ++report_.blank;
      return;
    }
    const auto entry = reader_.Read(line);
    if (!entry) {
      if (report_.unreadable++ == 0) {
        report_.first_unreadable_line = report_.lines;
        report_.first_unreadable_why = entry.error().message;
      }
      return;
    }
    const auto address = ParseAddress(entry->address);
    if (!address && report_.not_addresses++ == 0) {
      report_.first_not_address_line = report_.lines;
      report_.first_not_address = entry->address;
    }
    if (report_.allowed + report_.denied == 0) {
      report_.first = entry->time;
      report_.zone = entry->zone;
      timeline_.SetZone(entry->zone);
    }
    report_.first = std::min(report_.first, entry->time);
    report_.last = std::max(report_.last, entry->time);
    clock_.Set(report_.last);
    const std::array<Attribute, 3> headers = {
        {{"user-agent", entry->user_agent}, {"referer", entry->referer}, {"host", entry->host}}};
    engine::Call call;
    call.request = {.peer_ip = entry->address,
                    .user = entry->user,
                    .method = entry->method,
                    .path = entry->target,
                    .headers = headers};
    call.subjects = &subjects_;
    limiter_.engine().Run({&call, 1});
    Count(*entry, ClientOf(*entry, address), call.decision);
  }

  SimulationReport Finish(std::uint32_t top) {
    report_.slices = timeline_.Slices(kSlices);
    report_.slice_length = timeline_.SliceLength(kSlices);
    report_.peak_second = timeline_.peak_second();
    report_.peak_minute = timeline_.peak_minute();
    const auto counts = limiter_.engine().GetCounts();
    report_.unidentified = counts.unidentified + counts.counted_by_address + counts.denied_unidentified;
    report_.clients = clients_.size();
    for (const auto& [subject, count] : clients_) {
      if (count.denied == 0) continue;
      report_.top_denied.push_back(
          {subject, count.requests, count.denied, count.first_denied, count.last_denied, std::string(count.rule)});
    }
    const auto more = [](const auto& a, const auto& b) {
      return a.denied != b.denied ? a.denied > b.denied : a.subject < b.subject;
    };
    std::ranges::sort(report_.top_denied, more);
    if (report_.top_denied.size() > top) report_.top_denied.resize(top);
    for (const auto& [path, count] : paths_) report_.top_paths.push_back({path, count.requests, count.denied});
    std::ranges::sort(report_.top_paths, [](const auto& a, const auto& b) {
      return std::tuple(b.denied, b.requests, std::string_view(a.path)) <
             std::tuple(a.denied, a.requests, std::string_view(b.path));
    });
    if (report_.top_paths.size() > top) report_.top_paths.resize(top);
    for (const auto& [rule, denied] : denied_clients_) report_.by_rule[rule].clients = denied.size();
    return std::move(report_);
  }

 private:
  // Whom the first of the request's rules counts; else the address as rules would cut it.
  std::string ClientOf(const AccessLogEntry& entry, const std::optional<Address>& address) const {
    for (const std::string& subject : subjects_) {
      if (!subject.empty()) return subject;
    }
    if (!address) return std::string(entry.address);
    std::array<char, 46> text;
    return std::string(FormatAddress(Truncate(*address, v4_bits_, v6_bits_), text));
  }

  void Count(const AccessLogEntry& entry, std::string client_name, const Decision& decision) {
    ++(decision.allowed ? report_.allowed : report_.denied);
    report_.waits += decision.action == Action::kWait ? 1U : 0U;
    report_.challenged += decision.action == Action::kChallenge ? 1U : 0U;
    report_.charged += decision.action == Action::kCharge ? 1U : 0U;
    timeline_.Add(report_.last, decision.allowed);
    CountPath(WithoutQuery(entry.target), decision.allowed);
    bool shadow_denied = false;
    for (std::uint32_t i = 0; i < decision.rule_count; ++i) {
      const RuleOutcome& rule = decision.rules()[i];
      if (rule.shadow && rule.outcome.verdict != Verdict::kAllowed) {
        shadow_denied = true;
        ++Rule(rule.rule).shadow_denied;
      }
    }
    if (shadow_denied) ++report_.shadow_denied;

    auto found = clients_.find(client_name);
    if (found == clients_.end() && clients_.size() < kMaxClients) {
      found = clients_.try_emplace(std::move(client_name)).first;
    }
    if (found == clients_.end()) ++report_.clients_untracked;
    if (found != clients_.end()) ++found->second.requests;
    if (decision.allowed) return;
    const RuleOutcome* decider = decision.decider();
    const std::string_view rule = decider != nullptr ? decider->rule : ToString(decision.reason);
    ++Rule(rule).denied;
    if (found == clients_.end()) return;
    denied_clients_[std::string(rule)].insert(&found->first);
    ClientCount& client = found->second;
    if (client.denied++ == 0) {
      client.first_denied = report_.last;
      client.rule = rule;
    }
    client.last_denied = report_.last;
  }

  void CountPath(std::string_view path, bool allowed) {
    std::string name(path);
    auto found = paths_.find(name);
    if (found == paths_.end() && paths_.size() < kMaxPaths) found = paths_.try_emplace(std::move(name)).first;
    if (found == paths_.end()) {
      ++report_.paths_untracked;
      return;
    }
    ++found->second.requests;
    if (!allowed) ++found->second.denied;
  }

  SimulationReport::ByRule& Rule(std::string_view name) {
    const auto found = report_.by_rule.find(name);
    return found != report_.by_rule.end() ? found->second : report_.by_rule[std::string(name)];
  }

  RateLimiter& limiter_;
  ManualClock& clock_;
  unsigned v4_bits_ = 32, v6_bits_ = 64;
  AccessLogReader reader_;
  std::vector<std::string> subjects_;
  SimulationReport report_;
  Timeline timeline_;
  std::unordered_map<std::string, ClientCount> clients_;
  std::unordered_map<std::string, PathCount> paths_;
  std::map<std::string, std::unordered_set<const std::string*>, std::less<>> denied_clients_;
};

}  // namespace

Result<SimulationReport> Simulate(EnterpriseRateLimitConfig config, const NextLine& next,
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
  std::uint64_t lines = 0;
  for (std::string line; next(&line);) {
    replay.Line(line);
    if (++lines % 65'536 == 0 && options.progress) options.progress(lines);
  }
  return replay.Finish(options.top);
}

}  // namespace weir::cli
