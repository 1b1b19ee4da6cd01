#include "cli/request_flags.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdio>

#include "base/address.h"
#include "base/utf8.h"
#include "cli/terminal.h"
#include "config/validate/country_code.h"
#include "engine/request_id.h"

namespace weir::cli {
namespace {

Result<Attribute> Split(std::string_view text, char separator, std::string_view form) {
  const std::size_t at = text.find(separator);
  if (at == std::string_view::npos || at == 0) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is not of the form '{}'", text, form));
  }
  std::string_view value = text.substr(at + 1);
  if (separator == ':') {
    while (value.starts_with(' ')) value.remove_prefix(1);
  }
  return Attribute{text.substr(0, at), value};
}

std::string_view VerdictName(const RuleOutcome& rule) {
  switch (rule.outcome.verdict) {
    case Verdict::kAllowed:
      return "allowed";
    case Verdict::kLater:
      return "later";
    case Verdict::kNever:
      return "never";
  }
  return "?";
}

// No limit is null, as over HTTP.
boost::json::value Limited(std::uint64_t count) {
  return count == UINT64_MAX ? boost::json::value(nullptr) : boost::json::value(count);
}

std::int64_t Millis(std::int64_t nanos) { return nanos / kMillisecond + (nanos % kMillisecond > 0 ? 1 : 0); }

}  // namespace

Result<FlaggedRequest> FlaggedRequest::Create(const RequestOptions& options) {
  FlaggedRequest flagged;
  flagged.options_ = &options;
  if (!options.ip.empty() && !ParseAddress(options.ip)) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("--ip must be an IP address, got '{}'", options.ip));
  }
  if (!options.country.empty() && config::CountryCode(options.country) == 0) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("--country must be an ISO 3166-1 code of two letters, got '{}'", options.country));
  }
  if (!options.request_id.empty() && !engine::IsRequestId(options.request_id)) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("--request-id {}", engine::kRequestIdForm));
  }
  for (const std::string& text : options.headers) {
    auto header = Split(text, ':', "Name: value");
    if (!header) return std::unexpected(header.error());
    flagged.headers_.push_back(*header);
  }
  for (const std::string& text : options.attributes) {
    auto attribute = Split(text, '=', "name=value");
    if (!attribute) return std::unexpected(attribute.error());
    flagged.attributes_.push_back(*attribute);
  }
  for (const std::string& text : options.descriptor) {
    auto entry = Split(text, '=', "key=value");
    if (!entry) return std::unexpected(entry.error());
    flagged.entries_.push_back(*entry);
  }
  if (flagged.is_descriptor() && (options.domain.empty() || !options.attributes.empty())) {
    return Fail(ErrorCode::kInvalidArgument, "--descriptor needs a --domain, and has no --attribute beside it");
  }
  return flagged;
}

Request FlaggedRequest::request() const {
  return {.domain = options_->domain,
          .peer_ip = options_->ip,
          .user = options_->user,
          .tenant = options_->tenant,
          .tier = options_->tier,
          .api_key = options_->api_key,
          .country = options_->country,
          .method = options_->method,
          .path = options_->path,
          .headers = headers_,
          .attributes = is_descriptor() ? entries_ : attributes_,
          .cost = options_->cost,
          .request_id = options_->request_id};
}

namespace {

std::string ActionText(const Decision& decision) {
  switch (decision.action) {
    case Action::kAllow:
      return Coloured("allowed", Colour::kGreen);
    case Action::kWait:
      return Coloured(fmt::format("allowed after {}", Duration(decision.delay_ns())), Colour::kGreen);
    case Action::kChallenge:
      return Coloured("challenged", Colour::kRed);
    case Action::kCharge:
      return Coloured("to be paid for", Colour::kRed);
    case Action::kDeny:
      break;
  }
  return Coloured("denied", Colour::kRed);
}

}  // namespace

std::string DecisionText(const Decision& decision, const std::vector<std::string>& subjects) {
  const auto delayed = [&] {
    for (std::uint32_t i = 0; i < decision.rule_count; ++i) {
      if (decision.rules()[i].outcome.delay_ns > 0) return true;
    }
    return false;
  }();
  std::vector<std::vector<std::string>> rows = {
      {"rule", "level", "subject", "verdict", "remaining", "limit", "reset", "retry"}};
  if (delayed) rows[0].emplace_back("delay");
  for (std::uint32_t i = 0; i < decision.rule_count; ++i) {
    const RuleOutcome& rule = decision.rules()[i];
    rows.push_back({std::string(rule.rule) + (rule.shadow ? " (shadow)" : ""), std::string(ToString(rule.level)),
                    i < subjects.size() ? subjects[i] : "", std::string(VerdictName(rule)),
                    Count(rule.outcome.remaining), Count(rule.outcome.limit), Duration(rule.outcome.reset_after_ns),
                    rule.outcome.verdict == Verdict::kLater ? Duration(rule.outcome.retry_after_ns) : "-"});
    if (delayed) rows.back().push_back(rule.outcome.delay_ns > 0 ? Duration(rule.outcome.delay_ns) : "-");
  }
  std::string text = decision.rule_count > 0 ? Table(rows, TerminalWidth()) + "\n" : "";
  text += ActionText(decision);
  text += fmt::format(" ({}{})", ToString(decision.reason), decision.repeated ? ", repeated" : "");
  if (const RuleOutcome* decider = decision.decider(); decider != nullptr && !decision.allowed) {
    text += fmt::format(" by {}", decider->rule);
    if (decider->outcome.verdict == Verdict::kLater) {
      text += fmt::format(", again in {}", Duration(decider->outcome.retry_after_ns));
    }
  }
  return text + "\n";
}

boost::json::object DecisionJson(const Decision& decision, const std::vector<std::string>& subjects) {
  boost::json::object root;
  root["allowed"] = decision.allowed;
  root["action"] = std::string(ToString(decision.action));
  root["reason"] = std::string(ToString(decision.reason));
  if (decision.repeated) root["repeated"] = true;
  boost::json::array rules;
  for (std::uint32_t i = 0; i < decision.rule_count; ++i) {
    const RuleOutcome& rule = decision.rules()[i];
    boost::json::object one;
    one["rule"] = std::string(rule.rule);
    one["policy"] = std::string(rule.policy);
    one["level"] = std::string(ToString(rule.level));
    if (i < subjects.size()) one["subject"] = ReplaceInvalidUtf8(subjects[i]);
    one["shadow"] = rule.shadow;
    one["verdict"] = std::string(VerdictName(rule));
    one["limit"] = Limited(rule.outcome.limit);
    one["remaining"] = Limited(rule.outcome.remaining);
    one["used"] = rule.outcome.used;
    one["window_seconds"] = rule.window_seconds;
    one["reset_after_ms"] = Millis(rule.outcome.reset_after_ns);
    one["retry_after_ms"] = Millis(rule.outcome.retry_after_ns);
    one["delay_ms"] = Millis(rule.outcome.delay_ns);
    rules.push_back(std::move(one));
  }
  if (const RuleOutcome* decider = decision.decider()) root["rule"] = std::string(decider->rule);
  root["rules"] = std::move(rules);
  return root;
}

Result<EnterpriseRateLimitConfig> LoadOrSample(const std::string& file) {
  if (!file.empty()) return LoadConfigFile(file);
  ParsedConfig sample = ParseConfig(SampleConfig());
  if (!sample.ok()) return Fail(ErrorCode::kInternal, "the built-in sample is invalid");
  return std::move(sample.config);
}

}  // namespace weir::cli
