#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/request_flags.h"
#include "cli/simulation.h"
#include "cli/terminal.h"

namespace weir::cli {
namespace {

std::string ReportJson(const SimulationReport& report) {
  boost::json::object root{{"lines", report.lines},
                           {"unreadable", report.unreadable},
                           {"unidentified", report.unidentified},
                           {"not_addresses", report.not_addresses},
                           {"allowed", report.allowed},
                           {"denied", report.denied},
                           {"shadow_denied", report.shadow_denied},
                           {"clients", report.clients},
                           {"clients_untracked", report.clients_untracked},
                           {"first", Timestamp(report.first)},
                           {"last", Timestamp(report.last)}};
  boost::json::array rules, clients, slices;
  for (const auto& [name, rule] : report.by_rule) {
    rules.push_back(boost::json::object{
        {"rule", name}, {"denied", rule.denied}, {"shadow_denied", rule.shadow_denied}, {"clients", rule.clients}});
  }
  for (const auto& client : report.top_denied) {
    clients.push_back(boost::json::object{{"ip", ReplaceInvalidUtf8(client.address)},
                                          {"requests", client.requests},
                                          {"denied", client.denied},
                                          {"rule", client.rule},
                                          {"first_denied", Timestamp(client.first_denied)},
                                          {"last_denied", Timestamp(client.last_denied)}});
  }
  for (const auto& slice : report.slices) {
    slices.push_back(
        boost::json::object{{"start", Timestamp(slice.start)}, {"allowed", slice.allowed}, {"denied", slice.denied}});
  }
  root["rules"] = std::move(rules);
  root["top_denied"] = std::move(clients);
  root["timeline"] = std::move(slices);
  return boost::json::serialize(root) + "\n";
}

std::string Percent(std::uint64_t part, std::uint64_t whole) {
  return fmt::format("{:.2f}%", whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string ReportText(const SimulationReport& report) {
  const std::uint64_t decided = report.allowed + report.denied;
  std::string text = fmt::format("{} requests of {} clients, {} to {} (UTC)\n", Count(decided), Count(report.clients),
                                 Timestamp(report.first), Timestamp(report.last));
  text += fmt::format("{} allowed, {} denied ({})", Count(report.allowed), Count(report.denied),
                      Percent(report.denied, decided));
  if (report.shadow_denied > 0)
    text += fmt::format(", {} would be denied by shadow rules", Count(report.shadow_denied));
  text += '\n';
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
  if (!report.slices.empty()) {
    std::vector<Bar> bars;
    for (const auto& slice : report.slices) bars.push_back({Timestamp(slice.start), slice.allowed, slice.denied});
    text += "\n" + StackedBars(bars, 40);
  }
  if (!report.by_rule.empty()) {
    std::vector<std::vector<std::string>> rows = {{"rule", "denied", "clients", "shadow"}};
    for (const auto& [name, rule] : report.by_rule) {
      rows.push_back({name, Count(rule.denied), Count(rule.clients), Count(rule.shadow_denied)});
    }
    text += "\n" + Table(rows);
  }
  if (!report.top_denied.empty()) {
    std::vector<std::vector<std::string>> rows = {
        {"client", "requests", "denied", "share", "first denied", "last denied", "first by"}};
    for (const auto& client : report.top_denied) {
      rows.push_back({client.address, Count(client.requests), Count(client.denied),
                      Percent(client.denied, client.requests), Timestamp(client.first_denied),
                      Timestamp(client.last_denied), client.rule});
    }
    text += "\n" + Table(rows);
  }
  return text;
}

}  // namespace

int RunSimulate(const SimulateOptions& options) {
  auto config = LoadOrSample(options.config_file);
  if (!config) {
    fmt::print(stderr, "weir: {}\n", config.error().message);
    return 2;
  }
  std::ifstream opened;
  std::uint64_t size = 0;
  if (options.log_file != "-") {
    opened.open(options.log_file, std::ios::binary);
    std::error_code error;
    size = std::filesystem::file_size(options.log_file, error);
    if (!opened || error) {
      fmt::print(stderr, "weir: cannot read '{}'\n", options.log_file);
      return 2;
    }
  }
  SimulationOptions simulation{.top = options.top, .progress = {}};
  const bool show = options.progress && isatty(STDERR_FILENO) == 1;
  if (show) {
    simulation.progress = [size](std::uint64_t bytes, std::uint64_t lines) {
      const std::string share = size > 0 ? Percent(std::min(bytes, size), size) : "";
      fmt::print(stderr, "\r{} lines {} ", Count(lines), share);
    };
  }
  const auto report = Simulate(std::move(*config), options.log_file == "-" ? std::cin : opened, simulation);
  if (show) fmt::print(stderr, "\r\x1b[K");
  if (!report) {
    fmt::print(stderr, "weir: {}\n", report.error().message);
    return 2;
  }
  fmt::print("{}", options.json ? ReportJson(*report) : ReportText(*report));
  if (report->allowed + report->denied == 0) {
    fmt::print(stderr, "weir: '{}' has no access log line{}\n", options.log_file,
               report->unreadable > 0
                   ? ": line " + std::to_string(report->first_unreadable_line) + ": " + report->first_unreadable_why
                   : "");
    return 2;
  }
  return report->denied > 0 ? 1 : 0;
}

}  // namespace weir::cli
