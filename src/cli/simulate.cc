#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/log_files.h"
#include "cli/request_flags.h"
#include "cli/simulation.h"
#include "cli/terminal.h"

namespace weir::cli {
namespace {

boost::json::object PeakJson(const Timeline::Peak& peak, Nanos zone) {
  return {{"requests", peak.requests}, {"start", IsoTimestamp(peak.start, zone)}};
}

std::string ReportJson(const SimulationReport& report) {
  const Nanos zone = report.zone;
  boost::json::object root{{"lines", report.lines},
                           {"unreadable", report.unreadable},
                           {"unidentified", report.unidentified},
                           {"not_addresses", report.not_addresses},
                           {"allowed", report.allowed},
                           {"denied", report.denied},
                           {"waits", report.waits},
                           {"challenged", report.challenged},
                           {"charged", report.charged},
                           {"shadow_denied", report.shadow_denied},
                           {"clients", report.clients},
                           {"clients_untracked", report.clients_untracked},
                           {"first", IsoTimestamp(report.first, zone)},
                           {"last", IsoTimestamp(report.last, zone)},
                           {"peak_second", PeakJson(report.peak_second, zone)},
                           {"peak_minute", PeakJson(report.peak_minute, zone)},
                           {"timeline_seconds", report.slice_length / kSecond}};
  boost::json::array rules, clients, paths, slices;
  for (const auto& [name, rule] : report.by_rule) {
    rules.push_back(boost::json::object{
        {"rule", name}, {"denied", rule.denied}, {"shadow_denied", rule.shadow_denied}, {"clients", rule.clients}});
  }
  for (const auto& client : report.top_denied) {
    clients.push_back(boost::json::object{{"subject", ReplaceInvalidUtf8(client.subject)},
                                          {"requests", client.requests},
                                          {"denied", client.denied},
                                          {"rule", client.rule},
                                          {"first_denied", IsoTimestamp(client.first_denied, zone)},
                                          {"last_denied", IsoTimestamp(client.last_denied, zone)}});
  }
  for (const auto& path : report.top_paths) {
    paths.push_back(boost::json::object{
        {"path", ReplaceInvalidUtf8(path.path)}, {"requests", path.requests}, {"denied", path.denied}});
  }
  for (const auto& slice : report.slices) {
    slices.push_back(boost::json::object{
        {"start", IsoTimestamp(slice.start, zone)}, {"allowed", slice.allowed}, {"denied", slice.denied}});
  }
  root["rules"] = std::move(rules);
  root["top_denied"] = std::move(clients);
  root["top_paths"] = std::move(paths);
  root["timeline"] = std::move(slices);
  return boost::json::serialize(root) + "\n";
}

std::string Percent(std::uint64_t part, std::uint64_t whole) {
  return fmt::format("{:.2f}%", whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string Plural(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", Count(count), noun, count == 1 ? "" : "s");
}

std::string Remarks(const SimulationReport& report) {
  std::string text;
  if (report.unreadable > 0) {
    text += fmt::format("{} of {} lines are not access log lines; the first is line {}: {}\n", Count(report.unreadable),
                        Count(report.lines), report.first_unreadable_line, report.first_unreadable_why);
  }
  if (report.unidentified > 0) {
    text += fmt::format("{} times a rule did not find whom to count in a line, so that its on_missing decided\n",
                        Count(report.unidentified));
  }
  if (report.not_addresses > 0) {
    text += fmt::format(
        "{} lines do not begin with an IP address, as rules by address need; the first is line {}: {}\n",
        Count(report.not_addresses), report.first_not_address_line, Printable(report.first_not_address.substr(0, 100)));
  }
  if (report.clients_untracked > 0) {
    text += fmt::format("{} requests came from clients beyond the first million: decided, but not listed by name\n",
                        Count(report.clients_untracked));
  }
  if (report.paths_untracked > 0) {
    text += fmt::format("{} requests were to paths beyond the first 100,000: decided, but not listed by name\n",
                        Count(report.paths_untracked));
  }
  return text;
}

std::string ReportText(const SimulationReport& report) {
  const Nanos zone = report.zone;
  const std::size_t width = TerminalWidth();
  const std::uint64_t decided = report.allowed + report.denied;
  std::string text =
      fmt::format("{} of {}, {} to {} ({})\n", Plural(decided, "request"), Plural(report.clients, "client"),
                  Timestamp(report.first, zone), Timestamp(report.last, zone), ZoneName(zone));
  text += fmt::format("{} allowed, {} denied ({})", Count(report.allowed),
                      report.denied > 0 ? Coloured(Count(report.denied), Colour::kRed) : Count(report.denied),
                      Percent(report.denied, decided));
  if (report.waits > 0) text += fmt::format(", {} of the allowed with a delay", Count(report.waits));
  if (report.challenged > 0) text += fmt::format(", {} of the denied challenged", Count(report.challenged));
  if (report.charged > 0) text += fmt::format(", {} of the denied to be paid for", Count(report.charged));
  if (report.shadow_denied > 0) {
    text += fmt::format(", {} would be denied by shadow rules", Count(report.shadow_denied));
  }
  text += fmt::format("\npeak: {}/s at {}, {}/min at {}\n", Count(report.peak_second.requests),
                      Timestamp(report.peak_second.start, zone), Count(report.peak_minute.requests),
                      Timestamp(report.peak_minute.start, zone).substr(0, 16));
  text += Remarks(report);
  if (!report.slices.empty()) {
    std::vector<Bar> bars;
    // Slices begin at full minutes.
    for (const auto& slice : report.slices) {
      bars.push_back({Timestamp(slice.start, zone).substr(0, 16), slice.allowed, slice.denied});
    }
    text += "\n" + StackedBars(bars, width == 0 ? 40 : std::clamp<std::size_t>(width, 60, 120) - 50);
  }
  if (!report.by_rule.empty()) {
    std::vector<std::vector<std::string>> rows = {{"rule", "denied", "clients", "shadow"}};
    for (const auto& [name, rule] : report.by_rule) {
      rows.push_back({name, Count(rule.denied), Count(rule.clients), Count(rule.shadow_denied)});
    }
    text += "\n" + Table(rows, width);
  }
  if (!report.top_denied.empty()) {
    std::vector<std::vector<std::string>> rows = {
        {"client", "requests", "denied", "share", "first denied", "last denied", "first by"}};
    for (const auto& client : report.top_denied) {
      rows.push_back({client.subject, Count(client.requests), Count(client.denied),
                      Percent(client.denied, client.requests), Timestamp(client.first_denied, zone),
                      Timestamp(client.last_denied, zone), client.rule});
    }
    text += "\n" + Table(rows, width);
  }
  if (!report.top_paths.empty()) {
    std::vector<std::vector<std::string>> rows = {{"path", "requests", "denied", "share"}};
    for (const auto& path : report.top_paths) {
      rows.push_back({path.path, Count(path.requests), Count(path.denied), Percent(path.denied, path.requests)});
    }
    text += "\n" + Table(rows, width);
  }
  return text;
}

// Why nothing could be replayed.
std::string WhyNothing(const std::vector<std::string>& logs, const SimulationReport& report) {
  const std::string name = logs.size() == 1 ? fmt::format("'{}'", logs.front()) : "the logs";
  const char* is = logs.size() == 1 ? "is" : "are";
  if (report.unreadable == 0) return fmt::format("{} {} empty", name, is);
  return fmt::format(
      "{} {} no access log: there is no access log line in {}; line {}: {} (understood are the common and combined "
      "formats, with or without a virtual host in front, and one JSON object a line)",
      name, is, Plural(report.lines, "line"), report.first_unreadable_line, report.first_unreadable_why);
}

int Complain(const std::string& why) {
  fmt::print(stderr, "weir: {}\n", why);
  return 2;
}

}  // namespace

int RunSimulate(const SimulateOptions& options) {
  auto config = LoadOrSample(options.config_file);
  if (!config) return Complain(config.error().message);
  auto logs = LogFiles::Open(options.logs);
  if (!logs) return Complain(logs.error().message);
  SimulationOptions simulation{.top = options.top, .progress = {}};
  const bool show = options.progress && isatty(STDERR_FILENO) == 1;
  if (show) {
    simulation.progress = [&](std::uint64_t lines) {
      const std::uint64_t size = logs->bytes_in_all();
      const std::string share = size > 0 ? Percent(std::min(logs->bytes_read(), size), size) : "";
      fmt::print(stderr, "\r{} lines {} ", Count(lines), share);
    };
  }
  const auto report = Simulate(std::move(*config), [&](std::string* line) { return logs->Next(line); }, simulation);
  if (show) fmt::print(stderr, "\r\x1b[K");
  if (!report) return Complain(report.error().message);
  if (!logs->fault().empty()) fmt::print(stderr, "weir: {}; what came before it is in the report\n", logs->fault());
  if (report->allowed + report->denied == 0) return Complain(WhyNothing(options.logs, *report));
  fmt::print("{}", options.json ? ReportJson(*report) : ReportText(*report));
  return report->denied > 0 ? 1 : 0;
}

}  // namespace weir::cli
