// The basic limiter's document, and its conversion.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "config/document/node.h"
#include "config/document/reader.h"

namespace weir {
namespace {

using config::Node;
using config::Quoted;

std::unexpected<Error> Refuse(const Node& at, std::string message) {
  return Fail(ErrorCode::kInvalidArgument, fmt::format("line {}: {}", config::LineOf(at), message));
}

std::string_view TypeName(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return "null";
    case Node::Kind::kBool:
      return "a boolean";
    case Node::Kind::kNumber:
      return "a number";
    case Node::Kind::kString:
    case Node::Kind::kPlain:
      return "a string";
    case Node::Kind::kSequence:
      return "a sequence";
    case Node::Kind::kMap:
      return "a map";
  }
  return "null";
}

Result<std::uint32_t> ReadU32(const Node& node, std::string_view name) {
  if (node.kind != Node::Kind::kNumber)
    return Refuse(node, fmt::format("{}: expected u32, found {}", name, TypeName(node)));
  std::uint32_t value = 0;
  const char* end = node.text.data() + node.text.size();
  const auto [last, error] = std::from_chars(node.text.data(), end, value);
  if (error != std::errc() || last != end)
    return Refuse(node, fmt::format("{}: {} is not a u32", name, Quoted(node.text)));
  return value;
}

Result<BasicIdentifier> ReadIdentifier(const Node& node) {
  using Kind = BasicIdentifier::Kind;
  constexpr std::pair<std::string_view, Kind> kKinds[] = {{"IpAddress", Kind::kIpAddress},
                                                          {"UserId", Kind::kUserId},
                                                          {"ApiKey", Kind::kApiKey},
                                                          {"CustomHeader", Kind::kCustomHeader}};
  const bool tagged = node.kind == Node::Kind::kMap && node.children.size() == 1;
  if (!tagged && node.kind != Node::Kind::kString) {
    return Refuse(node, fmt::format("identifier: expected a variant name or a map with one, found {}", TypeName(node)));
  }
  const std::string& tag = tagged ? node.children.front().key : node.text;
  const auto* kind = std::ranges::find(kKinds, tag, &std::pair<std::string_view, Kind>::first);
  if (kind == std::end(kKinds)) {
    return Refuse(node,
                  fmt::format("identifier: unknown variant {}, expected one of IpAddress, UserId, ApiKey, CustomHeader",
                              Quoted(tag)));
  }
  BasicIdentifier identifier{.kind = kind->second, .header = {}};
  if (identifier.kind == Kind::kCustomHeader) {
    if (!tagged)
      return Refuse(node, "identifier: CustomHeader needs its header's name: {\"CustomHeader\": \"X-Name\"}");
    const Node& value = node.children.front();
    if (value.kind != Node::Kind::kString) {
      return Refuse(value, fmt::format("identifier: CustomHeader: expected a string, found {}", TypeName(value)));
    }
    identifier.header = value.text;
  } else if (tagged && node.children.front().kind != Node::Kind::kNull) {
    return Refuse(node, fmt::format("identifier: {} takes no value", tag));
  }
  return identifier;
}

Result<std::vector<std::string>> ReadPaths(const Node& node) {
  if (node.kind != Node::Kind::kSequence)
    return Refuse(node, fmt::format("exempt_paths: expected a sequence, found {}", TypeName(node)));
  std::set<std::string> paths;
  for (const Node& child : node.children) {
    if (child.kind != Node::Kind::kString)
      return Refuse(child, fmt::format("exempt_paths: expected a string, found {}", TypeName(child)));
    paths.insert(child.text);
  }
  return std::vector<std::string>(paths.begin(), paths.end());
}

constexpr std::string_view kFields[] = {"max_requests", "window_seconds", "identifier", "exempt_paths"};

// The values of the four fields, from a map or from the positional array that the basic reader took as well.
Result<std::vector<const Node*>> FindFields(const Node& root) {
  std::vector<const Node*> fields;
  if (root.kind == Node::Kind::kSequence) {
    if (root.children.size() != std::size(kFields)) {
      return Refuse(root, fmt::format("invalid length {}, expected 4 elements", root.children.size()));
    }
    for (const Node& child : root.children) fields.push_back(&child);
    return fields;
  }
  if (root.kind != Node::Kind::kMap) return Refuse(root, fmt::format("expected a map, found {}", TypeName(root)));
  for (const std::string_view name : kFields) {
    const Node* found = nullptr;
    for (const Node& child : root.children) {
      if (child.key != name) continue;
      if (found != nullptr) return Refuse(child, fmt::format("duplicate field '{}'", name));
      found = &child;
    }
    if (found == nullptr) return Refuse(root, fmt::format("missing field '{}'", name));
    fields.push_back(found);
  }
  return fields;
}

Result<BasicRateLimitConfig> ReadBasic(const Node& root) {
  const auto fields = FindFields(root);
  if (!fields) return std::unexpected(fields.error());
  const auto max_requests = ReadU32(*(*fields)[0], kFields[0]);
  if (!max_requests) return std::unexpected(max_requests.error());
  const auto window_seconds = ReadU32(*(*fields)[1], kFields[1]);
  if (!window_seconds) return std::unexpected(window_seconds.error());
  auto identifier = ReadIdentifier(*(*fields)[2]);
  if (!identifier) return std::unexpected(identifier.error());
  auto paths = ReadPaths(*(*fields)[3]);
  if (!paths) return std::unexpected(paths.error());
  BasicRateLimitConfig basic;
  basic.max_requests = *max_requests;
  basic.window_seconds = *window_seconds;
  basic.identifier = std::move(*identifier);
  basic.exempt_paths = std::move(*paths);
  return basic;
}

// By raw text, as the basic limiter keys: see CustomIdentifier. It read no user or key from anywhere but these headers.
EnhancedIdentifier ConvertIdentifier(const BasicIdentifier& basic) {
  CustomIdentifier custom;
  switch (basic.kind) {
    case BasicIdentifier::Kind::kIpAddress:
      custom.extractor = "basic:ip";
      break;
    case BasicIdentifier::Kind::kUserId:
      custom.extractor = "header:x-user-id";
      break;
    case BasicIdentifier::Kind::kApiKey:
      custom.extractor = "header:x-api-key";
      break;
    case BasicIdentifier::Kind::kCustomHeader:
      custom.extractor = "header:" + basic.header;
      break;
  }
  return {custom};
}

bool IsHeaderName(std::string_view name) {
  const auto token = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  };
  return !name.empty() && std::ranges::all_of(name, token);
}

}  // namespace

BasicRateLimitConfig BasicRateLimitConfig::Strict() {
  BasicRateLimitConfig basic;
  basic.max_requests = 10;
  return basic;
}

BasicRateLimitConfig BasicRateLimitConfig::Permissive() {
  BasicRateLimitConfig basic;
  basic.max_requests = 1000;
  return basic;
}

Result<BasicRateLimitConfig> ParseBasicConfig(std::string_view json) {
  const config::ParsedTree tree = config::ParseJsonTree(json);
  if (!tree.faults.empty()) return Fail(ErrorCode::kInvalidArgument, Describe(tree.faults.front()));
  return ReadBasic(tree.root);
}

EnterpriseRateLimitConfig EnterpriseRateLimitConfig::FromBasic(const BasicRateLimitConfig& basic) {
  // Ten years are as good as for ever, and the most that a document can say.
  const std::uint32_t window_seconds = std::min(basic.window_seconds, 315'360'000U);
  // One window that starts at the subject's first request: the precision is as long as the window.
  SlidingWindow window;
  window.precision = window_seconds <= 60 ? WindowPrecision::Minute() : WindowPrecision::Custom(window_seconds);
  window.count_denied = true;

  HeaderConfig headers;
  headers.styles = {HeaderStyle::kXRateLimit};
  headers.basic_body = true;

  RateLimitRule rule;
  rule.max_requests = basic.max_requests;
  rule.window_seconds = window_seconds;
  rule.identifier = ConvertIdentifier(basic.identifier);
  rule.algorithm = window;
  rule.headers = headers;
  rule.on_store_failure = StoreFailurePolicy::kAllow;
  rule.on_missing = OnMissing::kSkip;
  // No request has a header whose name cannot be one; without a key the basic limiter lets pass and counts nothing.
  if (basic.identifier.kind == BasicIdentifier::Kind::kCustomHeader && !IsHeaderName(basic.identifier.header)) {
    rule = RateLimitRule::Unlimited();
  }

  EnterpriseRateLimitConfig config;
  // All tiers alike: whatever tier a request names, conversion never loosens.
  config.global.free_tier = rule;
  config.global.pro_tier = rule;
  config.global.enterprise_tier = rule;
  const std::set<std::string> paths(basic.exempt_paths.begin(), basic.exempt_paths.end());
  config.exemptions.paths.assign(paths.begin(), paths.end());
  config.storage.on_store_failure = StoreFailurePolicy::kAllow;
  return config;
}

}  // namespace weir
