// The bodies of /v1/check and /v1/check_batch, read by weir's reader and by simdjson on demand into the same values,
// with the same checks: well-formed UTF-8, known fields, none twice, types, ranges, addresses, nothing behind the end.
// Both begin with a copy of the body, as what came from the network: weir's reader changes it, simdjson's needs room
// behind it. Prints a Markdown table; the two take turns, and each figure is the median of the rounds.
//
//   weir_bench_json_bodies 21
//   weir_bench_json_bodies_avx2 21       simdjson compiled for x86-64 with AVX2, which weir does not ask for
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/ascii.h"
#include "config/validate/country_code.h"
#include "frontends/http/check_body.h"

namespace {

using weir::Attribute;
using weir::http::PairRange;
using weir::http::ParsedRequest;
namespace ondemand = simdjson::ondemand;

constexpr std::array<std::string_view, 15> kFields = {"ip",      "user",       "path",  "method",  "tenant",
                                                      "tier",    "api_key",    "cost",  "headers", "domain",
                                                      "country", "attributes", "rules", "explain", "status_on_denial"};

// What simdjson reads; false: refused.
class Simdjson {
 public:
  bool ReadRequestBody(const char* text, std::size_t size, std::size_t capacity, ParsedRequest* parsed,
                       std::vector<Attribute>* pairs) {
    ondemand::document document;
    ondemand::object object;
    if (parser_.iterate(text, size, capacity).get(document) != simdjson::SUCCESS) return false;
    if (document.get_object().get(object) != simdjson::SUCCESS) return false;
    return ReadRequest(object, parsed, pairs) && AtEnd(document);
  }
  bool ReadBatchBody(const char* text, std::size_t size, std::size_t capacity, std::vector<ParsedRequest>* parsed,
                     std::vector<Attribute>* pairs) {
    ondemand::document document;
    ondemand::object object;
    if (parser_.iterate(text, size, capacity).get(document) != simdjson::SUCCESS) return false;
    if (document.get_object().get(object) != simdjson::SUCCESS) return false;
    bool seen = false;
    for (auto field : object) {
      std::string_view key;
      ondemand::array array;
      if (field.unescaped_key().get(key) != simdjson::SUCCESS || key != "requests" || seen) return false;
      seen = true;
      if (field.value().get_array().get(array) != simdjson::SUCCESS) return false;
      for (auto element : array) {
        ondemand::object one;
        if (parsed->size() == weir::http::kMaxBatch || element.get_object().get(one) != simdjson::SUCCESS) return false;
        if (!ReadRequest(one, &parsed->emplace_back(), pairs)) return false;
      }
    }
    return seen && AtEnd(document);
  }

 private:
  // Of this version: no place any more to speak of.
  static bool AtEnd(ondemand::document& document) {
    const char* at = nullptr;
    return document.current_location().get(at) != simdjson::SUCCESS;
  }
  static bool String(ondemand::value& value, std::string_view* out) {
    return value.get_string().get(*out) == simdjson::SUCCESS;
  }
  static bool AddPair(std::vector<Attribute>* pairs, PairRange* range, Attribute pair) {
    if (range->count == weir::http::kMaxPairs) return false;
    pairs->push_back(pair);
    ++range->count;
    return true;
  }
  static bool ReadPairs(ondemand::value& value, std::vector<Attribute>* pairs, PairRange* range, bool headers) {
    range->begin = static_cast<std::uint32_t>(pairs->size());
    ondemand::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS) return false;
    for (auto field : object) {
      std::string_view name, text;
      ondemand::value inner;
      if (field.unescaped_key().get(name) != simdjson::SUCCESS || field.value().get(inner) != simdjson::SUCCESS) {
        return false;
      }
      for (std::size_t i = range->begin; i < pairs->size(); ++i) {
        const std::string_view known = (*pairs)[i].name;
        if (headers ? weir::EqualsIgnoreCase(known, name) : known == name) return false;
      }
      ondemand::json_type type{};
      if (inner.type().get(type) != simdjson::SUCCESS) return false;
      if (headers && type == ondemand::json_type::array) {
        ondemand::array array;
        if (inner.get_array().get(array) != simdjson::SUCCESS) return false;
        for (auto element : array) {
          if (element.get_string().get(text) != simdjson::SUCCESS || !AddPair(pairs, range, {name, text})) return false;
        }
        continue;
      }
      // The measured bodies have strings alone here; numbers and booleans would be read as their text.
      if (!String(inner, &text) || !AddPair(pairs, range, {name, text})) return false;
    }
    return true;
  }
  static bool ReadRequest(ondemand::object& object, ParsedRequest* parsed, std::vector<Attribute>* pairs) {
    weir::Request& request = parsed->request;
    std::uint32_t seen = 0;
    for (auto field : object) {
      std::string_view key;
      ondemand::value value;
      if (field.unescaped_key().get(key) != simdjson::SUCCESS || field.value().get(value) != simdjson::SUCCESS) {
        return false;
      }
      const auto index = static_cast<std::size_t>(std::ranges::find(kFields, key) - kFields.begin());
      if (index == kFields.size() || (seen & (1U << index)) != 0) return false;
      seen |= 1U << index;
      bool null = false;
      if (value.is_null().get(null) != simdjson::SUCCESS) return false;
      if (null) continue;
      bool good = false;
      std::uint64_t status = 0;
      switch (index) {
        case 0:
          good = String(value, &request.peer_ip) &&
                 (request.peer_ip.empty() || weir::ParseAddress(request.peer_ip).has_value());
          break;
        case 1:
          good = String(value, &request.user);
          break;
        case 2:
          good = String(value, &request.path);
          break;
        case 3:
          good = String(value, &request.method);
          break;
        case 4:
          good = String(value, &request.tenant);
          break;
        case 5:
          good = String(value, &request.tier);
          break;
        case 6:
          good = String(value, &request.api_key);
          break;
        case 7:
          good = value.get_uint64().get(request.cost) == simdjson::SUCCESS;
          break;
        case 8:
          good = ReadPairs(value, pairs, &parsed->headers, true);
          break;
        case 9:
          good = String(value, &request.domain);
          break;
        case 10:
          good = String(value, &request.country) &&
                 (request.country.empty() || weir::config::CountryCode(request.country) != 0);
          break;
        case 11:
          good = ReadPairs(value, pairs, &parsed->attributes, false);
          break;
        case 12:
          good = value.get_bool().get(parsed->answer.rules) == simdjson::SUCCESS;
          break;
        case 13:
          good = value.get_bool().get(parsed->answer.explain) == simdjson::SUCCESS;
          break;
        default:
          good = value.get_uint64().get(status) == simdjson::SUCCESS && (status == 200 || status == 429);
          parsed->answer.deny_as_200 = status == 200;
          break;
      }
      if (!good) return false;
    }
    return true;
  }

  ondemand::parser parser_;
};

struct Body {
  std::string name;
  std::string text;
  bool batch = false;
};

std::string Small(int i) {
  return fmt::format(R"({{"ip":"192.0.2.{}","user":"user-{}","method":"GET","path":"/api/v1/items/{}"}})", i % 250, i,
                     i);
}

std::string Large(int i) {
  std::string text = fmt::format(R"({{"ip":"2001:db8::{}","user":"user-{}","tenant":"acme","method":"POST",)"
                                 R"("path":"/api/v1/search?q=caf\u00e9&page={}","cost":3,"headers":{{)",
                                 i % 250, i, i);
  text +=
      R"("User-Agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",)"
      R"("Accept":"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",)"
      R"("Accept-Language":"en-GB,en;q=0.7,de;q=0.3","Accept-Encoding":"gzip, deflate, br",)"
      R"("Cookie":"session=0123456789abcdef0123456789abcdef; theme=dark","X-Forwarded-For":["203.0.113.9"]},)"
      R"("attributes":{"model":"large","region":"eu-central-1"},"rules":true})";
  return text;
}

std::string Batch(std::string (*one)(int), int count) {
  std::string text = R"({"requests":[)";
  for (int i = 0; i < count; ++i) {
    if (i > 0) text += ',';
    text += one(i);
  }
  return text + "]}";
}

// What was read, so that both can be seen to read the same.
std::uint64_t Sum(const std::vector<ParsedRequest>& requests, const std::vector<Attribute>& pairs) {
  std::uint64_t sum = pairs.size();
  for (const ParsedRequest& parsed : requests) {
    const weir::Request& r = parsed.request;
    sum += r.peer_ip.size() + r.user.size() + r.tenant.size() + r.method.size() + r.path.size() + r.cost;
    sum += parsed.headers.count + parsed.attributes.count + (parsed.answer.rules ? 1 : 0);
  }
  for (const Attribute& pair : pairs) sum += pair.name.size() + pair.value.size();
  return sum;
}

class Contest {
 public:
  explicit Contest(const Body& body) : body_(body), buffer_(body.text.size() + simdjson::SIMDJSON_PADDING + 1) {}

  // Nanoseconds a body.
  double Weir(std::size_t times) {
    return Time(times, [&] {
      Fill();
      std::string error;
      const std::size_t size = body_.text.size();
      if (body_.batch) return weir::http::ReadBatchBody(buffer_.data(), size, &requests_, &pairs_, &error);
      return weir::http::ReadRequestBody(buffer_.data(), size, &requests_.emplace_back(), &pairs_, &error);
    });
  }
  double Simd(std::size_t times) {
    return Time(times, [&] {
      Fill();
      const std::size_t size = body_.text.size();
      if (body_.batch) return simdjson_.ReadBatchBody(buffer_.data(), size, buffer_.size(), &requests_, &pairs_);
      return simdjson_.ReadRequestBody(buffer_.data(), size, buffer_.size(), &requests_.emplace_back(), &pairs_);
    });
  }
  std::uint64_t sum() const { return Sum(requests_, pairs_); }

 private:
  void Fill() {
    std::memcpy(buffer_.data(), body_.text.data(), body_.text.size());
    buffer_[body_.text.size()] = '\0';
    requests_.clear();
    pairs_.clear();
  }
  template <typename Read>
  static double Time(std::size_t times, Read&& read) {
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < times; ++i) {
      if (!read()) {
        fmt::print(stderr, "a body was refused\n");
        std::exit(1);
      }
    }
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    return took.count() / static_cast<double>(times);
  }

  const Body& body_;
  std::vector<char> buffer_;
  std::vector<ParsedRequest> requests_;
  std::vector<Attribute> pairs_;
  Simdjson simdjson_;
};

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 11;
  const std::vector<Body> bodies = {
      {"check, 4 fields", Small(7)},
      {"check, 6 headers", Large(7)},
      {"batch of 100, 4 fields each", Batch(&Small, 100), true},
      {"batch of 100, 6 headers each", Batch(&Large, 100), true},
  };
  // The implementation that on demand is compiled to: what the compiler may assume of the machine decides, not the
  // machine.
  fmt::print("simdjson {}.{}.{}, {}\n\n", static_cast<int>(simdjson::SIMDJSON_VERSION_MAJOR),
             static_cast<int>(simdjson::SIMDJSON_VERSION_MINOR), static_cast<int>(simdjson::SIMDJSON_VERSION_REVISION),
             SIMDJSON_STRINGIFY(SIMDJSON_BUILTIN_IMPLEMENTATION));
  fmt::print("| body | bytes | weir's reader | simdjson on demand | simdjson against weir's |\n");
  fmt::print("| --- | ---: | ---: | ---: | ---: |\n");
  for (const Body& body : bodies) {
    Contest contest(body);
    const std::size_t times = std::max<std::size_t>(10, 20'000'000 / body.text.size());
    std::vector<double> weir, simd, ratio;
    for (int round = 0; round < rounds; ++round) {
      weir.push_back(contest.Weir(times));
      const std::uint64_t sum = contest.sum();
      simd.push_back(contest.Simd(times));
      if (contest.sum() != sum) {
        fmt::print(stderr, "the two read different things\n");
        return 1;
      }
      ratio.push_back(weir.back() / simd.back());
    }
    fmt::print("| {} | {} | {:.0f} ns | {:.0f} ns | {:.2f}x as fast |\n", body.name, body.text.size(), Median(weir),
               Median(simd), Median(ratio));
  }
  return 0;
}
