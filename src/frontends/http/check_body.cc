#include "frontends/http/check_body.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

#include "base/address.h"
#include "base/ascii.h"
#include "config/validate/country_code.h"
#include "engine/request_id.h"
#include "http/json_reader.h"

namespace weir::http {
namespace {

using Kind = JsonReader::Kind;
using Got = JsonReader::Got;

// Of a request, and after them those that only feedback has.
constexpr std::array<std::string_view, 18> kFeedbackFields = {
    "ip",         "user",   "path",    "method",     "tenant", "tier",    "api_key",          "cost",
    "headers",    "domain", "country", "attributes", "rules",  "explain", "status_on_denial", "request_id",
    "latency_ms", "failed"};
constexpr std::size_t kRequestFields = 16;
constexpr std::array<std::string_view, 2> kCommitFields = {"reservation", "actual_cost"};
constexpr std::array<std::string_view, 1> kCancelFields = {"reservation"};
constexpr std::array<std::string_view, 3> kExtendFields = {"reservation", "cost", "partial"};
constexpr std::array<std::string_view, 1> kBatchFields = {"requests"};

std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::array<std::size_t, 33> row{};
  if (a.size() > 32 || b.size() > 32) return 32;
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

// Other programs' names for the same things, and misspellings.
std::string_view Suggest(std::string_view key, std::span<const std::string_view> fields) {
  constexpr std::array<std::array<std::string_view, 2>, 15> kSynonyms = {{{"user_id", "user"},
                                                                          {"idempotency_key", "request_id"},
                                                                          {"tenant_id", "tenant"},
                                                                          {"ip_address", "ip"},
                                                                          {"address", "ip"},
                                                                          {"key", "api_key"},
                                                                          {"apikey", "api_key"},
                                                                          {"uri", "path"},
                                                                          {"url", "path"},
                                                                          {"descriptors", "attributes"},
                                                                          {"hits", "cost"},
                                                                          {"id", "reservation"},
                                                                          {"latency", "latency_ms"},
                                                                          {"error", "failed"},
                                                                          {"reservation_id", "reservation"}}};
  for (const auto& [theirs, ours] : kSynonyms) {
    if (key == theirs && std::ranges::find(fields, ours) != fields.end()) return ours;
  }
  std::string_view best;
  std::size_t least = 3;
  for (const std::string_view field : fields) {
    const std::size_t distance = EditDistance(key, field);
    if (distance < least && distance < field.size()) {
      least = distance;
      best = field;
    }
  }
  return best;
}

// The index of a known field that was not seen before; -1 after a failure.
int FieldIndex(JsonReader& reader, std::string_view key, std::span<const std::string_view> fields,
               std::uint32_t* seen) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields[i] != key) continue;
    const std::uint32_t bit = 1U << i;
    if ((*seen & bit) != 0) {
      reader.Fail("appears twice", Got::kOmit);
      return -1;
    }
    *seen |= bit;
    return static_cast<int>(i);
  }
  const std::string_view hint = Suggest(key, fields);
  std::string message = "unknown field";
  if (!hint.empty()) {
    message += " (did you mean '";
    message += hint;
    message += "'?)";
  }
  reader.Fail(message, Got::kOmit);
  return -1;
}

bool AddPair(JsonReader& reader, std::vector<Attribute>* pairs, PairRange* range, Attribute pair) {
  if (range->count == kMaxPairs) return reader.Fail("holds more than 128 pairs", Got::kOmit);
  pairs->push_back(pair);
  ++range->count;
  return true;
}

// {"name": "value"}; a header may also be {"name": ["value", "value"]}.
bool ReadPairs(JsonReader& reader, std::vector<Attribute>* pairs, PairRange* range, bool headers) {
  range->begin = static_cast<std::uint32_t>(pairs->size());
  std::string_view name, value;
  for (bool more = reader.EnterObject(&name); more; more = reader.NextMember(&name)) {
    for (std::size_t i = range->begin; i < pairs->size(); ++i) {
      // Names of headers have no case: of "a" and "A" one would be counted and the other one read.
      const std::string_view known = (*pairs)[i].name;
      if (headers ? EqualsIgnoreCase(known, name) : known == name) return reader.Fail("appears twice", Got::kOmit);
    }
    if (headers && reader.Peek() == Kind::kArray) {
      for (bool element = reader.EnterArray(); element; element = reader.NextElement()) {
        if (!reader.ReadString(&value) || !AddPair(reader, pairs, range, {name, value})) return false;
      }
    } else if (!(headers ? reader.ReadString(&value) : reader.ReadScalar(&value)) ||
               !AddPair(reader, pairs, range, {name, value})) {
      return false;
    }
  }
  return !reader.failed();
}

bool ReadAddress(JsonReader& reader, std::string_view* ip) {
  if (!reader.ReadString(ip)) return false;
  if (ip->empty() || ParseAddress(*ip).has_value()) return true;
  return reader.Fail("must be an IP address", Got::kOmit);
}

bool ReadCountry(JsonReader& reader, std::string_view* country) {
  if (!reader.ReadString(country)) return false;
  if (country->empty() || config::CountryCode(*country) != 0) return true;
  return reader.Fail("must be an ISO 3166-1 country code of two letters", Got::kOmit);
}

bool ReadRequestId(JsonReader& reader, std::string_view* id) {
  if (!reader.ReadString(id)) return false;
  return engine::IsRequestId(*id) || reader.Fail(engine::kRequestIdForm, Got::kOmit);
}

bool ReadDenialStatus(JsonReader& reader, bool* deny_as_200) {
  std::uint64_t status = 0;
  if (!reader.ReadUnsigned(&status)) return false;
  if (status != 200 && status != 429) return reader.Fail("must be 200 or 429", Got::kOmit);
  *deny_as_200 = status == 200;
  return true;
}

bool ReadLatency(JsonReader& reader, Nanos* latency) {
  double milliseconds = 0;
  if (!reader.ReadNonNegative(&milliseconds)) return false;
  *latency = engine::LatencyOf(milliseconds);
  return true;
}

// `feedback`: nullptr, or where to put the fields that only feedback has.
bool ReadRequest(JsonReader& reader, ParsedRequest* parsed, std::vector<Attribute>* pairs,
                 engine::Feedback* feedback = nullptr) {
  const std::span<const std::string_view> fields(kFeedbackFields.data(),
                                                 feedback == nullptr ? kRequestFields : kFeedbackFields.size());
  Request& request = parsed->request;
  std::uint32_t seen = 0;
  bool has_latency = false;
  std::string_view key;
  for (bool more = reader.EnterObject(&key); more; more = reader.NextMember(&key)) {
    const int field = FieldIndex(reader, key, fields, &seen);
    if (field < 0) return false;
    if (reader.Peek() == Kind::kNull) {
      if (!reader.ReadNull()) return false;
      continue;
    }
    bool good = false;
    switch (field) {
      case 0:
        good = ReadAddress(reader, &request.peer_ip);
        break;
      case 1:
        good = reader.ReadString(&request.user);
        break;
      case 2:
        good = reader.ReadString(&request.path);
        break;
      case 3:
        good = reader.ReadString(&request.method);
        break;
      case 4:
        good = reader.ReadString(&request.tenant);
        break;
      case 5:
        good = reader.ReadString(&request.tier);
        break;
      case 6:
        good = reader.ReadString(&request.api_key);
        break;
      case 7:
        good = reader.ReadUnsigned(&request.cost);
        break;
      case 8:
        good = ReadPairs(reader, pairs, &parsed->headers, true);
        break;
      case 9:
        good = reader.ReadString(&request.domain);
        break;
      case 10:
        good = ReadCountry(reader, &request.country);
        break;
      case 11:
        good = ReadPairs(reader, pairs, &parsed->attributes, false);
        break;
      case 12:
        good = reader.ReadBool(&parsed->answer.rules);
        break;
      case 13:
        good = reader.ReadBool(&parsed->answer.explain);
        break;
      case 14:
        good = ReadDenialStatus(reader, &parsed->answer.deny_as_200);
        break;
      case 15:
        good = ReadRequestId(reader, &request.request_id);
        break;
      case 16:
        good = has_latency = ReadLatency(reader, &feedback->latency);
        break;
      default:
        good = reader.ReadBool(&feedback->failed);
        break;
    }
    if (!good) return false;
  }
  if (parsed->answer.explain) parsed->answer.rules = true;
  if (feedback != nullptr && !has_latency) return reader.Fail("'latency_ms' is missing", Got::kOmit);
  return !reader.failed();
}

bool ReadRequests(JsonReader& reader, std::vector<ParsedRequest>* parsed, std::vector<Attribute>* pairs) {
  for (bool more = reader.EnterArray(); more; more = reader.NextElement()) {
    if (parsed->size() == kMaxBatch) return reader.Fail("a batch holds at most 1000 requests", Got::kOmit);
    if (!ReadRequest(reader, &parsed->emplace_back(), pairs)) return false;
  }
  return !reader.failed();
}

bool ReadReservation(JsonReader& reader, std::uint64_t* reservation) {
  if (reader.Peek() == Kind::kNumber) return reader.ReadUnsigned(reservation);
  std::string_view text;
  if (reader.Peek() != Kind::kString) return reader.Fail("must be the text that /v1/reserve gave");
  if (!reader.ReadString(&text)) return false;
  const auto [stop, fault] = std::from_chars(text.data(), text.data() + text.size(), *reservation);
  if (!text.empty() && fault == std::errc{} && stop == text.data() + text.size()) return true;
  return reader.Fail("must be the text that /v1/reserve gave", Got::kOmit);
}

bool ReadSettlement(JsonReader& reader, std::span<const std::string_view> fields, Settlement* settlement) {
  std::uint32_t seen = 0;
  std::string_view key;
  for (bool more = reader.EnterObject(&key); more; more = reader.NextMember(&key)) {
    const int field = FieldIndex(reader, key, fields, &seen);
    if (field < 0) return false;
    if (!(field == 0 ? ReadReservation(reader, &settlement->reservation)
                     : reader.ReadUnsigned(&settlement->actual_cost))) {
      return false;
    }
  }
  for (std::size_t i = 0; i < fields.size() && !reader.failed(); ++i) {
    if ((seen & (1U << i)) != 0) continue;
    std::string message = "'";
    message += fields[i];
    message += "' is missing";
    return reader.Fail(message, Got::kOmit);
  }
  return !reader.failed();
}

// Runs `read` over the whole text.
template <typename Read>
bool ReadBody(char* text, std::size_t size, std::string* error, Read&& read) {
  JsonReader reader(text, size);
  if (read(reader) && reader.ReadEnd()) return true;
  *error = reader.error();
  return false;
}

}  // namespace

bool ReadRequestBody(char* text, std::size_t size, ParsedRequest* parsed, std::vector<Attribute>* pairs,
                     std::string* error) {
  if (size == 0) return true;
  return ReadBody(text, size, error, [&](JsonReader& reader) { return ReadRequest(reader, parsed, pairs); });
}

bool ReadFeedbackBody(char* text, std::size_t size, ParsedRequest* parsed, engine::Feedback* feedback,
                      std::vector<Attribute>* pairs, std::string* error) {
  return ReadBody(text, size, error, [&](JsonReader& reader) { return ReadRequest(reader, parsed, pairs, feedback); });
}

bool ReadBatchBody(char* text, std::size_t size, std::vector<ParsedRequest>* parsed, std::vector<Attribute>* pairs,
                   std::string* error) {
  return ReadBody(text, size, error, [&](JsonReader& reader) {
    if (reader.Peek() == Kind::kArray) return ReadRequests(reader, parsed, pairs);
    if (reader.Peek() != Kind::kObject) return reader.Fail("must be an array, or an object with 'requests'");
    std::uint32_t seen = 0;
    std::string_view key;
    for (bool more = reader.EnterObject(&key); more; more = reader.NextMember(&key)) {
      if (FieldIndex(reader, key, kBatchFields, &seen) < 0 || !ReadRequests(reader, parsed, pairs)) return false;
    }
    if (seen == 0) return reader.Fail("'requests' is missing", Got::kOmit);
    return !reader.failed();
  });
}

bool ReadCommitBody(char* text, std::size_t size, Settlement* settlement, std::string* error) {
  return ReadBody(text, size, error,
                  [&](JsonReader& reader) { return ReadSettlement(reader, kCommitFields, settlement); });
}

bool ReadExtendBody(char* text, std::size_t size, Settlement* settlement, std::string* error) {
  return ReadBody(text, size, error, [&](JsonReader& reader) {
    std::uint32_t seen = 0;
    std::string_view key;
    for (bool more = reader.EnterObject(&key); more; more = reader.NextMember(&key)) {
      const int field = FieldIndex(reader, key, kExtendFields, &seen);
      if (field < 0) return false;
      const bool read = field == 0   ? ReadReservation(reader, &settlement->reservation)
                        : field == 1 ? reader.ReadUnsigned(&settlement->more)
                                     : reader.ReadBool(&settlement->partial);
      if (!read) return false;
    }
    if (reader.failed()) return false;
    if ((seen & 1U) == 0) return reader.Fail("'reservation' is missing", Got::kOmit);
    if ((seen & 2U) == 0) return reader.Fail("'cost' is missing", Got::kOmit);
    return true;
  });
}

bool ReadCancelBody(char* text, std::size_t size, Settlement* settlement, std::string* error) {
  return ReadBody(text, size, error,
                  [&](JsonReader& reader) { return ReadSettlement(reader, kCancelFields, settlement); });
}

}  // namespace weir::http
