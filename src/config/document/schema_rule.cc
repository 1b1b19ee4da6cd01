#include "config/document/schema.h"

namespace weir::config {
namespace {

Ref<std::uint32_t> SecondsFrom(std::uint64_t least) { return Count32({least, kMostSeconds}); }

Ref<std::string> ZoneName() {
  return Text({"^[A-Za-z0-9_+/-]{1,64}$", "the name of an IANA time zone", "IANA time zone"});
}

// `second`, `ten_second`, `minute`, a number of seconds, or {Custom: seconds}.
class PrecisionType final : public TypeOf<WindowPrecision> {
 public:
  Node Schema(SchemaBuilder& builder) const override {
    Node custom = Node::Map();
    custom.Add("type", Node::String("object"));
    Node properties = Node::Map();
    properties.Add("custom", seconds_->Schema(builder));
    properties.Add("Custom", seconds_->Schema(builder));
    custom.Add("properties", std::move(properties));
    custom.Add("additionalProperties", Node::Bool(false));
    custom.Add("minProperties", Node::Number(1));
    custom.Add("maxProperties", Node::Number(1));
    Node choices = Node::Sequence();
    choices.Add(names_->Schema(builder));
    choices.Add(seconds_->Schema(builder));
    choices.Add(std::move(custom));
    Node schema = Node::Map();
    schema.Add("anyOf", std::move(choices));
    return schema;
  }
  std::string Words() const override { return names_->Words() + ", or a number of seconds"; }

 protected:
  void Load(const Node& node, WindowPrecision& value, Reader& reader) const override {
    const bool number = node.kind == Node::Kind::kNumber || (node.kind == Node::Kind::kPlain && !node.text.empty() &&
                                                             node.text[0] >= '0' && node.text[0] <= '9');
    if (number) return seconds_->Read(node, &value.seconds, reader);
    if (node.kind != Node::Kind::kMap) return names_->Read(node, &value.seconds, reader);
    const bool custom =
        node.children.size() == 1 && (node.children[0].key == "custom" || node.children[0].key == "Custom");
    if (!custom) return reader.Error(node, "must be {custom: SECONDS}, a number, or one of second, ten_second, minute");
    seconds_->Read(node.children[0], &value.seconds, reader);
  }
  Node Save(const WindowPrecision& value) const override {
    const bool named = value.seconds == 1 || value.seconds == 10 || value.seconds == 60;
    return named ? names_->Write(&value.seconds) : Node::Number(value.seconds);
  }

 private:
  Ref<std::uint32_t> seconds_ = SecondsFrom(1);
  Ref<std::uint32_t> names_ = EnumOf<std::uint32_t>({{1, "second"}, {10, "ten_second"}, {60, "minute"}});
};

// `requests`, `cost` or `attribute:NAME`.
class CountedUnitText final : public TypeOf<CountedUnit> {
 public:
  Node Schema(SchemaBuilder& builder) const override { return text_->Schema(builder); }
  std::string Words() const override { return "`requests`, `cost` or `attribute:NAME`"; }

 protected:
  void Load(const Node& node, CountedUnit& value, Reader& reader) const override {
    std::string text;
    const std::size_t faults = reader.fault_count();
    text_->Read(node, &text, reader);
    if (reader.fault_count() != faults) return;
    value = {};
    if (text == "requests" || text == "Requests") value.kind = CountedUnit::Kind::kRequests;
    if (!text.starts_with(kAttribute)) return;
    value.kind = CountedUnit::Kind::kAttribute;
    value.attribute = text.substr(kAttribute.size());
  }
  Node Save(const CountedUnit& value) const override {
    switch (value.kind) {
      case CountedUnit::Kind::kRequests:
        return Node::String("requests");
      case CountedUnit::Kind::kAttribute:
        return Node::String(std::string(kAttribute) + value.attribute);
      case CountedUnit::Kind::kCost:
        break;
    }
    return Node::String("cost");
  }

 private:
  static constexpr std::string_view kAttribute = "attribute:";
  Ref<std::string> text_ = Text({"^([Rr]equests|[Cc]ost|attribute:[^\\x00-\\x1f\\x7f]{1,200})$",
                                 "`requests`, `cost` or `attribute:NAME`", "text"});
};

Ref<WindowAlignment> AlignmentType() {
  static const auto type = EnumOf<WindowAlignment>({{WindowAlignment::kRolling, "rolling"},
                                                    {WindowAlignment::kMinute, "minute"},
                                                    {WindowAlignment::kHour, "hour"},
                                                    {WindowAlignment::kDay, "day"},
                                                    {WindowAlignment::kWeek, "week"},
                                                    {WindowAlignment::kMonth, "month"},
                                                    {WindowAlignment::kYear, "year"},
                                                    {WindowAlignment::kEpoch, "epoch"}});
  return type;
}

Ref<TokenBucket> TokenBucketType() {
  auto type = std::make_shared<Record<TokenBucket>>(
      "token_bucket", "A bucket that starts full; each request takes a token, and tokens come back at a steady rate.");
  type->With("refill_rate", &TokenBucket::refill_rate, Real({}), "Tokens restored per second. 0 is as if unwritten.",
             "max_requests / window_seconds")
      .With("burst_capacity", &TokenBucket::burst_capacity, Count(),
            "The most tokens the bucket holds: the largest burst. 0 is as if unwritten.", "max_requests");
  return type;
}

Ref<LeakyBucket> LeakyBucketType() {
  auto type = std::make_shared<Record<LeakyBucket>>(
      "leaky_bucket", "A bucket that fills with requests and leaks at a constant rate; what does not fit is denied.");
  type->With("leak_rate", &LeakyBucket::leak_rate, Real({}), "Requests leaked per second. 0 is as if unwritten.",
             "max_requests / window_seconds")
      .With("capacity", &LeakyBucket::capacity, Count(), "How much the bucket holds. 0 is as if unwritten.",
            "max_requests")
      .With("shape", &LeakyBucket::shape, Bool(),
            "Spread requests out: admit each with a delay to hold it for, instead of only counting.");
  return type;
}

Ref<SlidingWindow> SlidingWindowType() {
  auto type = std::make_shared<Record<SlidingWindow>>(
      "sliding_window",
      "Counts in sub-windows; the oldest one is interpolated. A precision as long as the window makes one window that "
      "starts at the subject's first request.");
  type->With("precision", &SlidingWindow::precision, std::make_shared<PrecisionType>(), "The length of a sub-window.")
      .With("count_denied", &SlidingWindow::count_denied, Bool(),
            "Denied requests count too, as in the basic limiter.");
  return type;
}

Ref<SlidingWindowLog> SlidingWindowLogType() {
  auto type = std::make_shared<Record<SlidingWindowLog>>("sliding_window_log",
                                                         "Remembers the time of each admitted request: exact, at up to "
                                                         "max_requests entries a subject, or as many for each "
                                                         "window within `log_retention`.");
  type->With(
          "log_retention", &SlidingWindowLog::log_retention, SecondsFrom(0),
          "Seconds an entry is kept; never less than the window. Those behind the window do not count, until a change "
          "of the rule makes its window longer.",
          "window_seconds")
      .With(
          "cleanup_interval", &SlidingWindowLog::cleanup_interval, SecondsFrom(0),
          "Seconds between clean-ups of a log that is used: for so long an entry may stay beyond its retention. 0: as "
          "soon as they are most of it. A log that nobody uses goes as a whole when its last entry does.");
  return type;
}

Ref<FixedWindow> FixedWindowType() {
  auto type = std::make_shared<Record<FixedWindow>>(
      "fixed_window", "One counter that starts anew with each window, rolling or aligned to the calendar.");
  type->With(
          "aligned", &FixedWindow::aligned, AlignmentType(),
          "Where a window begins: at the subject's first request, with a calendar unit, which then is the window, or "
          "(`epoch`) at each multiple of window_seconds since 1970.")
      .With("time_zone", &FixedWindow::time_zone, ZoneName(), "Whose calendar.")
      .With("count_denied", &FixedWindow::count_denied, Bool(), "Denied requests count too.");
  return type;
}

Ref<Concurrency> ConcurrencyType() {
  auto type = std::make_shared<Record<Concurrency>>("concurrency", "Limits how many requests are in flight at once.");
  type->With("max_in_flight", &Concurrency::max_in_flight, Count(), "Slots.", "max_requests")
      .With("lease_seconds", &Concurrency::lease_seconds, SecondsFrom(1),
            "A slot that is never released frees itself after this.");
  return type;
}

Ref<Adaptive> AdaptiveType() {
  auto type = std::make_shared<Record<Adaptive>>(
      "adaptive", "Learns a subject's normal traffic and keeps its limit near that, between bounds.");
  type->With("learning_window", &Adaptive::learning_window, SecondsFrom(1),
             "Seconds of traffic that the limit is learned from.")
      .With("adjustment_factor", &Adaptive::adjustment_factor, Real({.min = 0, .max = 1000, .above_min = true}),
            "How many deviations above normal the limit is set.")
      .With("min_limit", &Adaptive::min_limit, Count(), "The limit never goes below.", "max_requests / 10, at least 1")
      .With("max_limit", &Adaptive::max_limit, Count(), "The limit never goes above.", "max_requests * 10");
  return type;
}

Ref<HeaderNames> HeaderNamesType() {
  auto record = std::make_shared<Record<HeaderNames>>("header_names", "What the fields are called instead.");
  const auto name = Text({"^[!#$%&'*+.^_`|~0-9A-Za-z-]{0,100}$", "the name of a header field", "header name"});
  record->With("ratelimit_policy", &HeaderNames::policy, name, "The policy.", "`RateLimit-Policy`")
      .With("ratelimit", &HeaderNames::ratelimit, name, "The state of the limit.", "`RateLimit`")
      .With("ratelimit_limit", &HeaderNames::limit, name, "The limit of draft 06.", "`RateLimit-Limit`")
      .With("ratelimit_remaining", &HeaderNames::remaining, name, "What is left, of draft 06.", "`RateLimit-Remaining`")
      .With("ratelimit_reset", &HeaderNames::reset, name, "The reset of draft 06.", "`RateLimit-Reset`")
      .With("x_ratelimit_limit", &HeaderNames::x_limit, name, "The limit of `x_ratelimit`.", "`X-RateLimit-Limit`")
      .With("x_ratelimit_remaining", &HeaderNames::x_remaining, name, "What is left, of `x_ratelimit`.",
            "`X-RateLimit-Remaining`")
      .With("x_ratelimit_reset", &HeaderNames::x_reset, name, "The reset of `x_ratelimit`.", "`X-RateLimit-Reset`")
      .With("retry_after", &HeaderNames::retry_after, name, "When to try again.", "`Retry-After`");
  return record;
}

Ref<HeaderConfig> HeadersType() {
  static const Ref<HeaderConfig> type = [] {
    const auto style = EnumOf<HeaderStyle>({{HeaderStyle::kIetf, "ietf"},
                                            {HeaderStyle::kDraft06, "draft06"},
                                            {HeaderStyle::kDraft07, "draft07"},
                                            {HeaderStyle::kXRateLimit, "x_ratelimit"},
                                            {HeaderStyle::kNone, "none"}});
    auto record = std::make_shared<Record<HeaderConfig>>("headers", "What a response says about the rule.");
    record
        ->With("styles", &HeaderConfig::styles, ListOf(style, 1),
               "Forms of the headers; several may be sent together. `ietf`: RateLimit and RateLimit-Policy; `draft06`, "
               "`draft07`: older drafts of it (draft07 not beside ietf, whose names it uses); `x_ratelimit`: "
               "X-RateLimit-Limit, -Remaining and -Reset.")
        .With("reset_as_epoch", &HeaderConfig::reset_as_epoch, Bool(),
              "X-RateLimit-Reset as epoch seconds instead of seconds left.")
        .With("retry_after", &HeaderConfig::retry_after, Bool(), "Retry-After on a denial.")
        .With("on_allowed", &HeaderConfig::on_allowed, Bool(), "Headers also on responses that were not denied.")
        .With("partition_key", &HeaderConfig::partition_key, Bool(),
              "Tell a hash of the subject (`pk` of the IETF form).")
        .With("basic_body", &HeaderConfig::basic_body, Bool(), "A denial's body in the basic limiter's form.")
        .With("names", &HeaderConfig::names, HeaderNamesType(), "Other names for the fields.")
        .Preset("default", HeaderConfig{})
        .Preset("detailed", HeaderConfig::Detailed())
        .Preset("upload_optimized", HeaderConfig::UploadOptimized())
        .Preset("streaming_optimized", HeaderConfig::StreamingOptimized())
        .Preset("compliance_mode", HeaderConfig::ComplianceMode())
        .Preset("none", HeaderConfig::None());
    return record;
  }();
  return type;
}

Ref<FurtherLimit> FurtherLimitType() {
  static const Ref<FurtherLimit> type = [] {
    auto record = std::make_shared<Record<FurtherLimit>>(
        "further_limit", "One more limit of a rule: for the same subjects and in the same mode, in another window.");
    record->Requires("max_requests", &FurtherLimit::max_requests, Count(), "Requests (or units) allowed in its window.")
        .Requires("window_seconds", &FurtherLimit::window_seconds, SecondsFrom(1), "Length of its window.")
        .With("algorithm", &FurtherLimit::algorithm, Opt(AlgorithmType()), "How it is counted.",
              "the rule's, with numbers from these two")
        .With("counts", &FurtherLimit::counts, Opt(CountedUnitType()), "What a request adds to it.", "the rule's")
        .With("name", &FurtherLimit::name, Opt(Text(LongNameRule("text"))), "The policy's name in headers and logs.",
              "the rule's name, or its path, with `.limits.N` behind it");
    return record;
  }();
  return type;
}

Ref<Schedule> ScheduleType() {
  static const Ref<Schedule> type = [] {
    const TextRule time{"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", "a time of day such as 08:30", "HH:MM"};
    auto record = std::make_shared<Record<Schedule>>(
        "schedule", "When a rule is in force; at other times it does not exist. Times are local to the zone.");
    record
        ->With("days", &Schedule::days, ListOf(Word({"mon", "tue", "wed", "thu", "fri", "sat", "sun"})),
               "Days of the week.", "every day")
        .With("from", &Schedule::from, Text(time), "When it begins, inclusive.")
        .With("to", &Schedule::to, Text(time), "When it ends, exclusive; before `from`: on the next day.")
        .With("time_zone", &Schedule::time_zone, ZoneName(), "Whose clock.");
    return record;
  }();
  return type;
}

}  // namespace

TextRule NameRule(std::string words) {
  return {"^[^\\x00-\\x1f\\x7f]{1,200}$", "1 to 200 characters without control characters", std::move(words)};
}

TextRule LongNameRule(std::string words) {
  static_assert(kLongestLongName == 400);
  return {"^[^\\x00-\\x1f\\x7f]{1,400}$", "1 to 400 characters without control characters", std::move(words)};
}

Ref<StoreFailurePolicy> StoreFailureType() {
  static const auto type = EnumOf<StoreFailurePolicy>({{StoreFailurePolicy::kLocal, "local"},
                                                       {StoreFailurePolicy::kAllow, "allow"},
                                                       {StoreFailurePolicy::kDeny, "deny"}});
  return type;
}

Ref<CountedUnit> CountedUnitType() {
  static const Ref<CountedUnit> type = std::make_shared<CountedUnitText>();
  return type;
}

Ref<RateLimitAlgorithm> AlgorithmType() {
  static const Ref<RateLimitAlgorithm> type = [] {
    auto variant = std::make_shared<Variant<RateLimitAlgorithm>>(
        "algorithm",
        "How requests are counted. A name alone (`token_bucket`) takes every number from max_requests and "
        "window_seconds; with fields it is a mapping of one key (`token_bucket: {burst_capacity: 20}`).");
    variant->With("sliding_window", SlidingWindowType(), "A good default: smooth, small, a little approximate.")
        .With("token_bucket", TokenBucketType(), "Allows bursts up to a capacity, then a steady rate.")
        .With("leaky_bucket", LeakyBucketType(), "A steady rate; may also shape (delay) instead of deny.")
        .With("sliding_window_log", SlidingWindowLogType(), "Exact, for low and critical limits.")
        .With("fixed_window", FixedWindowType(), "Simple windows, also aligned to the calendar.")
        .With("concurrency", ConcurrencyType(), "Requests in flight instead of requests per time.")
        .With("adaptive", AdaptiveType(), "A limit that follows the subject's normal traffic.");
    return variant;
  }();
  return type;
}

Ref<EnhancedIdentifier> IdentifierType() {
  static const Ref<EnhancedIdentifier> type = [] {
    using Kind = decltype(EnhancedIdentifier::kind);
    auto ip = std::make_shared<Record<IpAddress>>("ip_address", "The client's address.");
    ip->With("use_forwarded", &IpAddress::use_forwarded, Bool(),
             "Believe the left-most X-Forwarded-For entry even without trusted_proxies: any client can forge it.")
        .With("geolocation", &IpAddress::geolocation, Bool(),
              "Look up the address's country. No effect in this version: whoever asks may tell the country.")
        .With("reputation_check", &IpAddress::reputation_check, Bool(),
              "Look up the address's reputation. No effect in this version.");
    auto user = std::make_shared<Record<UserId>>("user_id", "The authenticated user.");
    user->With("tier_field", &UserId::tier_field, Opt(Text(NameRule("text"))),
               "Attribute or JWT claim that names the user's tier.")
        .With("fallback_to_ip", &UserId::fallback_to_ip, Bool(), "A request without a user is counted by its address.");
    auto key = std::make_shared<Record<ApiKey>>("api_key", "The API key.");
    key->With("quota_field", &ApiKey::quota_field, Opt(Text(NameRule("text"))),
              "Attribute whose number replaces max_requests for the request.")
        .With("key_prefix", &ApiKey::key_prefix, Opt(Text(NameRule("text"))),
              "Only keys that start so are identified.");
    auto composite = std::make_shared<Record<Composite>>("composite", "Two identifiers together.");
    const auto nested = std::make_shared<Later<EnhancedIdentifier>>(&IdentifierType);
    composite->Requires("primary", &Composite::primary, nested, "The first identifier.")
        .Requires("secondary", &Composite::secondary, nested, "The second identifier.")
        .With("strategy", &Composite::strategy,
              EnumOf<CompositeStrategy>({{CompositeStrategy::kCombine, "combine"},
                                         {CompositeStrategy::kFirstAvailable, "first_available"},
                                         {CompositeStrategy::kStrictestLimit, "strictest_limit"}}),
              "`combine`: both together are one subject; `first_available`: the primary, else the secondary; "
              "`strictest_limit`: each is counted by itself and both must pass.");
    auto custom = std::make_shared<Record<CustomIdentifier>>("custom", "A value found by an extractor.");
    custom
        ->Requires(
            "extractor", &CustomIdentifier::extractor,
            Text({"^[^\\x00]+$", "an extractor such as header:X-Tenant", "extractor"}),
            "`header:NAME`, `query:NAME`, `cookie:NAME`, `attribute:NAME`, `path:REGEX` (its first group), "
            "`jwt:CLAIM`, `lua:SCRIPT`, `basic:ip` (as the basic limiter keys addresses), or the name of a "
            "registered C++ function. Of two different values (a repeated name) both are counted; requests with more "
            "share one subject.")
        .With("cache_duration", &CustomIdentifier::cache_duration, Opt(SecondsFrom(0)),
              "Seconds that an extracted value is reused for the same input.");
    auto global = std::make_shared<Record<GlobalIdentifier>>("global_identifier", "One subject for all requests.");
    auto tenant = std::make_shared<Record<TenantId>>("tenant_id", "The request's tenant.");
    auto variant = std::make_shared<Variant<Kind>>("identifier",
                                                   "Who is counted. A name alone (`user_id`) or a mapping of one key "
                                                   "(`custom: {extractor: \"header:X-Tenant\"}`).");
    variant->With<IpAddress>("ip_address", ip, "By client address (IPv6 by /64).")
        .With<UserId>("user_id", user, "By authenticated user.")
        .With<ApiKey>("api_key", key, "By API key.")
        .With<Composite>("composite", composite, "By two of these.", Presence::kRequired)
        .With<CustomIdentifier>("custom", custom, "By anything in the request.", Presence::kRequired)
        .With<GlobalIdentifier>("global", global, "All requests share one counter.")
        .With<TenantId>("tenant_id", tenant, "By tenant.");
    return std::make_shared<Wrapped<EnhancedIdentifier, Kind>>(&EnhancedIdentifier::kind, variant);
  }();
  return type;
}

Ref<PenaltyConfig> PenaltyType() {
  static const Ref<PenaltyConfig> type = [] {
    auto record = std::make_shared<Record<PenaltyConfig>>(
        "penalties",
        "Bans for those who go on after being denied; each next ban is longer, and good behaviour shortens them.");
    record->With("enabled", &PenaltyConfig::enabled, Bool(), "Whether there are any.")
        .With("threshold", &PenaltyConfig::threshold, Count32({1, 1'000'000}),
              "Denials that earn a ban, when they fall ...")
        .With("window_seconds", &PenaltyConfig::window_seconds, SecondsFrom(1), "... within this many seconds.")
        .With("first_ban_seconds", &PenaltyConfig::first_ban_seconds, SecondsFrom(1), "Length of the first ban.")
        .With("factor", &PenaltyConfig::factor, Real({.min = 1, .max = 1000}), "Each next ban is this much longer.")
        .With("longest_ban_seconds", &PenaltyConfig::longest_ban_seconds, SecondsFrom(1), "No ban is longer.")
        .With("decay_seconds", &PenaltyConfig::decay_seconds, SecondsFrom(1),
              "Good behaviour for this long lowers the level by one.");
    return record;
  }();
  return type;
}

Ref<RateLimitRule> RuleType() {
  static const Ref<RateLimitRule> type = [] {
    auto record = std::make_shared<Record<RateLimitRule>>(
        "rule",
        "A limit. What a rule does not write it inherits: from its template, then from the less specific level.");
    record
        ->With("max_requests", &RateLimitRule::max_requests, Opt(Count()),
               "Requests (or units of cost) allowed in a window.", "inherited")
        .With("window_seconds", &RateLimitRule::window_seconds, Opt(SecondsFrom(0)), "Length of the window.",
              "inherited")
        .With("identifier", &RateLimitRule::identifier, Opt(IdentifierType()), "Who is counted.",
              "inherited, else `ip_address`")
        .With("algorithm", &RateLimitRule::algorithm, Opt(AlgorithmType()), "How it is counted.",
              "inherited, else the document's `algorithm`, else `sliding_window`")
        .With("headers", &RateLimitRule::headers, Opt(HeadersType()), "What responses say.",
              "inherited, else `default`")
        .With("mode", &RateLimitRule::mode,
              Opt(EnumOf<RuleMode>({{RuleMode::kEnforce, "enforce"}, {RuleMode::kShadow, "shadow"}})),
              "`shadow`: counted and reported, never denies.", "inherited, else `enforce`")
        .With("penalties", &RateLimitRule::penalties, Opt(PenaltyType()), "Bans for those who go on.",
              "inherited, else `global.penalties`")
        .With("schedule", &RateLimitRule::schedule, Opt(ScheduleType()), "When the rule is in force.",
              "inherited, else always")
        .With("on_store_failure", &RateLimitRule::on_store_failure, Opt(StoreFailureType()),
              "What to answer while the store is down: `local` goes on with this instance's share.",
              "inherited, else `storage.on_store_failure`")
        .With("on_missing", &RateLimitRule::on_missing,
              Opt(EnumOf<OnMissing>({{OnMissing::kIp, "ip"}, {OnMissing::kSkip, "skip"}, {OnMissing::kDeny, "deny"}})),
              "When the identifier finds nothing in a request: `ip` counts the client's address instead (requests "
              "without "
              "one share a subject), `skip` leaves the rule out, `deny` denies the request.",
              "inherited, else `ip`; of rules that apply in addition to others `skip`")
        .With(
            "counts", &RateLimitRule::counts, Opt(CountedUnitType()),
            "What a request adds: `requests` 1, `cost` its cost, `attribute:NAME` the number in that attribute (1 when "
            "there is none). With cost 0 a request is only a look, whatever is counted.",
            "inherited, else `cost`")
        .With("on_exceeded", &RateLimitRule::on_exceeded, Opt(OnExceededType()),
              "What becomes of a request that exceeds the rule. `deny`: it is refused. `wait` (token_bucket, "
              "leaky_bucket): it passes, to be held until the bucket has room; refused if that takes longer than "
              "`max_wait_ms`. `challenge`: the client must prove itself first. `charge`: it must be paid for (HTTP "
              "402). Of several rules the strictest decides: deny, charge, challenge, wait.",
              "inherited, else `deny`")
        .With("max_wait_ms", &RateLimitRule::max_wait_ms, Opt(Count32({1, 3'600'000})),
              "The longest that `wait` lets a request wait, in milliseconds.", "inherited, else 1000")
        .With("denial", &RateLimitRule::denial, Opt(DenialType()), "What a denied response says.",
              "inherited, else the document's `denial`")
        .With("limits", &RateLimitRule::limits, Opt(ListOf(FurtherLimitType())),
              "Further limits of the same subjects; all must pass. Inherited ones follow the rule's own numbers.",
              "inherited, else none")
        .With("when", &RateLimitRule::when, Opt(Text({"^[^\\x00]+$", "a condition", "[condition](conditions.md)"})),
              "The rule applies only to requests of which this is true, such as `request.country == \"DE\"`.",
              "inherited, else always")
        .With("unlimited", &RateLimitRule::unlimited, Opt(Bool()), "The rule never denies and counts nothing.",
              "inherited, else `false`")
        .With("name", &RateLimitRule::name, Opt(Text(LongNameRule("text"))),
              "The policy's name in headers (where what is not ASCII is percent-encoded) and logs.", "the rule's path")
        .With("template", &RateLimitRule::from_template, Opt(Text(NameRule("name in [templates](#document)"))),
              "Start from this entry of `templates`.")
        .Preset("unlimited", RateLimitRule::Unlimited())
        .Preset("strict", RateLimitRule::Strict())
        .Preset("generous", RateLimitRule::Generous());
    return record;
  }();
  return type;
}

Ref<Quota> QuotaType() {
  static const Ref<Quota> type = [] {
    auto record = std::make_shared<Record<Quota>>(
        "quota", "A further allowance by period; it applies in addition to every other rule.");
    record->Requires("max_requests", &Quota::max_requests, Count(), "Requests (or units of cost) in the period.")
        .With("period", &Quota::period,
              EnumOf<WindowAlignment>({{WindowAlignment::kHour, "hour"},
                                       {WindowAlignment::kDay, "day"},
                                       {WindowAlignment::kWeek, "week"},
                                       {WindowAlignment::kMonth, "month"},
                                       {WindowAlignment::kYear, "year"}}),
              "The period, by the calendar.")
        .With("rolling", &Quota::rolling, Bool(),
              "Start the period at the first request instead (a month is then 30 days).")
        .With("time_zone", &Quota::time_zone, ZoneName(), "Whose calendar.");
    return record;
  }();
  return type;
}

}  // namespace weir::config
