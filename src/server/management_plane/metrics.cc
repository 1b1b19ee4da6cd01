#include "server/management_plane/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "frontends/rls/http2/wire.h"
#include "server/data_plane/grpc_front_end.h"

namespace weir::server {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using LabelTexts = std::vector<std::pair<std::string, std::string>>;

// Collects families in the order in which they are first named.
class Page final : public MetricSink {
 public:
  void Add(MetricType type, const std::string& name, const std::string& help, double value,
           const LabelTexts& labels = {}) {
    const auto [known, is_new] = index_.try_emplace(name, families_.size());
    if (is_new) families_.push_back({name, help, type, {}});
    ClientMetric metric;
    for (const auto& [key, text] : labels) metric.label.push_back({key, text});
    (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    families_[known->second].metric.push_back(std::move(metric));
  }
  void Counter(const std::string& name, const std::string& help, std::uint64_t value, const LabelTexts& labels = {}) {
    Add(MetricType::Counter, name, help, static_cast<double>(value), labels);
  }
  void Gauge(const std::string& name, const std::string& help, double value, const LabelTexts& labels = {}) {
    Add(MetricType::Gauge, name, help, value, labels);
  }
  std::string Text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  void AddMetric(Kind kind, std::string_view name, std::string_view help, double value,
                 std::span<const MetricLabel> labels) override {
    LabelTexts texts;
    for (const MetricLabel& label : labels) texts.emplace_back(label.name, label.value);
    Add(kind == Kind::kCounter ? MetricType::Counter : MetricType::Gauge, std::string(name), std::string(help), value,
        texts);
  }

  std::vector<MetricFamily> families_;
  std::unordered_map<std::string, std::size_t> index_;  // by name
};

void AddDecisions(Page& page, const engine::Engine::Counts& counts) {
  const std::string name = "weir_decisions_total", help = "Decisions by their result.";
  page.Counter(name, help, counts.allowed, {{"result", "allowed"}});
  page.Counter(name, help, counts.denied, {{"result", "denied"}});
  page.Counter(name, help, counts.exempt, {{"result", "exempt"}});
  page.Counter(name, help, counts.no_limit, {{"result", "no_limit"}});
  page.Counter(name, help, counts.blocked, {{"result", "blocked"}});
  page.Counter(name, help, counts.banned, {{"result", "banned"}});
  page.Counter(name, help, counts.waits, {{"result", "wait"}});
  page.Counter(name, help, counts.challenges, {{"result", "challenge"}});
  page.Counter(name, help, counts.charges, {{"result", "charge"}});
  const std::string rules = "weir_rule_decisions_total", rules_help = "What each rule answered.";
  for (const auto& rule : counts.rules) {
    LabelTexts labels = {{"rule", rule.rule}, {"level", std::string(ToString(rule.level))}};
    if (!rule.tier.empty()) labels.emplace_back("tier", rule.tier);
    if (!rule.detail.empty()) labels.emplace_back("detail", rule.detail);
    labels.emplace_back("answer", "allowed");
    page.Counter(rules, rules_help, rule.allowed, labels);
    labels.back().second = "denied";
    page.Counter(rules, rules_help, rule.denied, labels);
    labels.back().second = "shadow_denied";
    page.Counter(rules, rules_help, rule.shadow_denied, labels);
  }
  page.Counter("weir_unknown_domain_total", "Calls of a domain that the configuration does not have.",
               counts.unknown_domain);
  const std::string failures = "weir_store_failure_decisions_total";
  const std::string failures_help = "Rules decided by their failure policy because the store did not answer.";
  page.Counter(failures, failures_help, counts.store_failures_local, {{"policy", "local"}});
  page.Counter(failures, failures_help, counts.store_failures_allow, {{"policy", "allow"}});
  page.Counter(failures, failures_help, counts.store_failures_deny, {{"policy", "deny"}});
  page.Counter("weir_store_full_decisions_total", "Decisions made without a count because the store was full.",
               counts.store_full);
  const std::string unidentified = "weir_unidentified_total";
  const std::string unidentified_help = "Rules that found no subject in a request, and what on_missing said then.";
  page.Counter(unidentified, unidentified_help, counts.unidentified, {{"on_missing", "skip"}});
  page.Counter(unidentified, unidentified_help, counts.counted_by_address, {{"on_missing", "ip"}});
  page.Counter(unidentified, unidentified_help, counts.denied_unidentified, {{"on_missing", "deny"}});
  page.Counter("weir_script_failures_total", "Identifiers whose script failed, under the configuration in force.",
               counts.script_failures);
  page.Gauge("weir_reservations_open", "Reservations neither committed nor cancelled.",
             static_cast<double>(counts.reservations_open));
  page.Counter(
      "weir_slots_untracked_total",
      "Concurrency slots given without a reservation because there were too many: held until their lease ends.",
      counts.slots_untracked);
  page.Counter("weir_request_ids_repeated_total",
               "Checks and reservations answered like an earlier one with their request_id, and not charged.",
               counts.request_ids_repeated);
  page.Gauge("weir_request_ids", "Answers remembered by request_id in this process.",
             static_cast<double>(counts.request_ids_remembered));
  page.Counter("weir_request_ids_evicted_total",
               "Answers forgotten before request_ids.ttl_seconds because there were too many.",
               counts.request_ids_evicted);
}

void AddConnections(Page& page, const net::ServerStats& stats) {
  page.Counter("weir_connections_accepted_total", "Connections accepted.", stats.accepted);
  page.Counter("weir_connections_refused_total", "Connections closed at once because there were too many.",
               stats.refused);
  page.Counter("weir_connections_idle_closed_total", "Connections closed because nothing came.", stats.idle_closed);
  page.Counter("weir_connections_slow_closed_total", "Connections closed because their peer did not take the answers.",
               stats.slow_closed);
  page.Counter("weir_connections_overflow_closed_total", "Connections closed because a buffer of theirs was full.",
               stats.overflow_closed);
  page.Counter("weir_connections_crowded_closed_total",
               "Connections closed because all connections together held as much as they may.", stats.crowded_closed);
  page.Counter("weir_answers_without_room_total",
               "Requests refused because their answers would have exceeded max_buffered_bytes.", stats.room_refused);
  page.Gauge("weir_buffered_bytes", "Bytes that all connections together hold now.",
             static_cast<double>(stats.buffered_bytes));
  page.Gauge("weir_connections_open", "Connections open now.", static_cast<double>(stats.open));
  page.Counter("weir_received_bytes_total", "Bytes received.", stats.bytes_in);
  page.Counter("weir_sent_bytes_total", "Bytes sent.", stats.bytes_out);
}

void AddGrpc(Page& page, const GrpcFrontEnd& grpc) {
  const rls::CallCounters& counters = grpc.counters();
  for (const auto& [method, code, count] : counters.Answers()) {
    page.Counter("weir_grpc_requests_total", "gRPC calls by method and status.", count,
                 {{"method", std::string(method)}, {"code", std::string(rls::CodeName(code))}});
  }
  for (std::size_t i = 0; i < rls::kAbuses; ++i) {
    const auto abuse = static_cast<rls::Abuse>(i);
    page.Counter("weir_grpc_connections_ended_total", "gRPC connections closed for what their client did.",
                 counters.Ends(abuse), {{"abuse", std::string(rls::AbuseName(abuse))}});
  }
  const auto add = [&page](const std::string& service, const rls::ServiceCounts& counts) {
    const std::string name = "weir_rate_limit_answers_total";
    const std::string help = "Answers of the rate limit services, a request at a time.";
    page.Counter(name, help, counts.ok, {{"service", service}, {"answer", "ok"}});
    page.Counter(name, help, counts.over_limit, {{"service", service}, {"answer", "over_limit"}});
    page.Counter(name, help, counts.errors, {{"service", service}, {"answer", "error"}});
  };
  add("envoy", grpc.envoy().counts());
  add("kuadrant", grpc.kuadrant().counts());
  const rls::RlqsService::Counts quota = grpc.quota().counts();
  page.Gauge("weir_quota_streams", "Data planes that report to the quota service now.",
             static_cast<double>(quota.streams));
  page.Gauge("weir_quota_buckets", "Buckets that they report.", static_cast<double>(quota.buckets));
  page.Gauge("weir_quota_members", "Their parts in these buckets: one for each data plane of each bucket.",
             static_cast<double>(quota.members));
  page.Counter("weir_quota_reports_total", "Usage reports, a bucket at a time.", quota.reports);
  page.Counter(
      "weir_quota_refused_total",
      "Usage reports of buckets that were too many, too long, not UTF-8 or of too many data planes: they got no "
      "assignments.",
      quota.refused);
  page.Counter("weir_quota_unassigned_total", "Usage reports of buckets whose limits no data plane can carry out.",
               quota.unassigned);
  page.Counter("weir_quota_uncharged_total", "Usage reports that were not counted, as too many waited for the store.",
               quota.uncharged);
}

}  // namespace

std::string RenderMetrics(const MetricsSources& sources) {
  Page page;
  AddDecisions(page, sources.engine->GetCounts());
  for (const auto& describe : sources.internals.describe) describe(page);
  if (sources.data != nullptr) AddConnections(page, sources.data->Stats());
  for (const auto& [listener, guard] : sources.guards) {
    page.Counter("weir_auth_failures_total", "Requests and AUTHs with a wrong token or password, or without any.",
                 guard->failures(), {{"listener", listener}});
    page.Counter("weir_auth_slowed_total", "Attempts that had to wait because their address had failed too often.",
                 guard->slowed(), {{"listener", listener}});
  }
  if (sources.grpc != nullptr) AddGrpc(page, *sources.grpc);
  page.Counter("weir_config_reloads_total", "Configuration reloads.", sources.reloads_ok, {{"result", "ok"}});
  page.Counter("weir_config_reloads_total", "Configuration reloads.", sources.reloads_failed, {{"result", "refused"}});
  page.Gauge("weir_config_version", "Version of the configuration in force.",
             static_cast<double>(sources.engine->snapshot()->version()));
  page.Gauge("weir_start_time_seconds", "When the process started, seconds since the Unix epoch.",
             static_cast<double>(sources.started) / static_cast<double>(kSecond));
  return page.Text();
}

std::shared_ptr<const std::string> MetricsPage::Get() {
  std::unique_lock lock(mutex_);
  const bool large = text_ != nullptr && text_->size() > kLarge;
  const Nanos now = now_();
  if (now - second_ >= kSecond) {
    second_ = now;
    rendered_ = 0;
  }
  if (text_ != nullptr && (rendered_ >= (large ? 1 : kMostSmall) || (large && rendering_ > 0))) return text_;
  ++rendered_;
  ++rendering_;
  const std::uint64_t ticket = ++tickets_;
  lock.unlock();
  std::shared_ptr<const std::string> text;
  try {
    text = std::make_shared<const std::string>(render_());
  } catch (...) {
    lock.lock();
    --rendering_;
    throw;
  }
  lock.lock();
  --rendering_;
  // Of small pages several may be rendered at once, and end in any order.
  if (ticket > newest_) {
    newest_ = ticket;
    text_ = std::move(text);
  }
  return text_;
}

}  // namespace weir::server
