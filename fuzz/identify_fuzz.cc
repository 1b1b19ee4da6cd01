// Any headers, query and token give a client address and subjects, or none: bounded, and the same when asked again.
//
// Input: the path on the first line, then a header on each: "Name: value".
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/counters/counters.h"
#include "engine/identify/client_address.h"
#include "engine/identify/identify.h"
#include "engine/identify/subject.h"
#include "engine/resolve/ruleset.h"
#include "weir/config.h"

namespace {

using weir::Arena;
using weir::engine::Ruleset;

void Require(bool holds) {
  if (!holds) std::abort();
}

std::shared_ptr<const Ruleset> MakeRules(std::string_view yaml) {
  static weir::engine::Counters counters;
  const weir::ParsedConfig parsed = weir::ParseConfig(yaml);
  Require(parsed.ok());
  auto snapshot = weir::config::Snapshot::Compile(parsed.config, nullptr, 0);
  Require(snapshot.has_value());
  auto rules = Ruleset::Create(std::move(*snapshot), {}, counters);
  Require(rules.has_value());
  return std::move(*rules);
}

constexpr std::string_view kDocument = R"yaml(
global:
  free_tier: {max_requests: 1, window_seconds: 1}
  tiers:
    a: {identifier: {custom: {extractor: "query:q"}}}
    b: {identifier: {custom: {extractor: "cookie:sid"}}}
    c: {identifier: {custom: {extractor: "jwt:realm.tenant"}}}
    d: {identifier: {custom: {extractor: "path:^/api/([^/]+)"}}}
    e: {identifier: {custom: {extractor: "basic:ip"}}}
    f: {identifier: {custom: {extractor: "lua:return request.headers.x and request.headers.x:match('%w+') or request.query"}}}
    g: {identifier: {composite: {primary: {custom: {extractor: "header:x"}}, secondary: {ip_address: {use_forwarded: true}}, strategy: combine}}}
ip_rules: {trusted_proxies: [10.0.0.0/8]}
)yaml";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto plain = MakeRules(kDocument);
  static const auto verifying = MakeRules(std::string(kDocument) + "jwt: {hs256_secret: secret}\n");
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const auto next_line = [&rest] {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    return line;
  };
  weir::Request request{.peer_ip = "10.0.0.1"};
  request.path = next_line();
  std::vector<weir::Attribute> headers;
  while (!rest.empty() && headers.size() < 100) {
    const std::string_view line = next_line();
    const std::size_t colon = line.find(": ");
    if (colon == std::string_view::npos) continue;
    headers.push_back({line.substr(0, colon), line.substr(colon + 2)});
  }
  request.headers = headers;
  for (const auto& rules : {plain, verifying}) {
    Arena arena, again;
    const weir::engine::Facts facts = rules->FactsOf(request, 0, arena);
    Require(facts.client.has_value());
    for (const weir::config::Rule& rule : rules->snapshot().rules()) {
      weir::engine::Identify first(rules->snapshot(), rules->extractors(), request, facts, "", {}, arena);
      weir::engine::Identify second(rules->snapshot(), rules->extractors(), request, facts, "", {}, again);
      const auto a = first.Find(rule, nullptr);
      const auto b = second.Find(rule, nullptr);
      Require(a.count == b.count && a.count <= weir::engine::kMostSubjects);
      for (std::uint32_t i = 0; i < a.count; ++i) {
        Require(a.texts[i] == b.texts[i] && a.texts[i].size() <= weir::engine::kShortenedSubject);
      }
    }
  }
  return 0;
}
