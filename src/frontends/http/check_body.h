// The JSON bodies of the API, read strictly: unknown and repeated fields, wrong types and wrong values are errors that
// name the JSON path and, for a misspelt field, the right name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/feedback.h"
#include "weir/request.h"

namespace weir::http {

inline constexpr std::size_t kMaxBatch = 1'000;
// Headers, and attributes, of one request.
inline constexpr std::size_t kMaxPairs = 128;

// What to write into the answer besides the decision.
struct AnswerOptions {
  bool rules = false;        // every rule of the plan
  bool explain = false;      // the steps too
  bool deny_as_200 = false;  // a denial is answered with status 200
};

// A range of a vector that still grows.
struct PairRange {
  std::uint32_t begin = 0;
  std::uint32_t count = 0;
};

// A request as the body described it. `request.headers` and `.attributes` are not set: they are ranges of the pairs
// that were read, to be bound once these stay where they are.
struct ParsedRequest {
  Request request;
  PairRange headers, attributes;
  AnswerOptions answer;
};

struct Settlement {
  std::uint64_t reservation = 0;
  std::uint64_t actual_cost = 0;
  std::uint64_t more = 0;  // extend
  bool partial = false;    // extend
};

// The readers change `text` (escapes are undone in place) and what they return borrows from it; text[size] must be
// '\0'. False: `error` says what is wrong: "$.cost: must be an integer >= 0, got -1". An empty text is an empty object.

// {"domain", "ip", "user", "tenant", "tier", "api_key", "country", "method", "path", "headers", "attributes", "cost",
//  "request_id", "explain", "rules", "status_on_denial"}, all optional; null is the same as absent.
bool ReadRequestBody(char* text, std::size_t size, ParsedRequest* parsed, std::vector<Attribute>* pairs,
                     std::string* error);
// The same and {"latency_ms": 12.5, "failed": false}, of which the latency is needed.
bool ReadFeedbackBody(char* text, std::size_t size, ParsedRequest* parsed, engine::Feedback* feedback,
                      std::vector<Attribute>* pairs, std::string* error);
// {"requests": [...]} or [...]; at most kMaxBatch.
bool ReadBatchBody(char* text, std::size_t size, std::vector<ParsedRequest>* parsed, std::vector<Attribute>* pairs,
                   std::string* error);
// {"reservation": "7", "actual_cost": 3}, both needed.
bool ReadCommitBody(char* text, std::size_t size, Settlement* settlement, std::string* error);
// {"reservation": "7", "cost": 3, "partial": true}; the first two needed.
bool ReadExtendBody(char* text, std::size_t size, Settlement* settlement, std::string* error);
// {"reservation": "7"}
bool ReadCancelBody(char* text, std::size_t size, Settlement* settlement, std::string* error);

}  // namespace weir::http
