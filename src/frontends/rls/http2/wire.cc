#include "frontends/rls/http2/wire.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/ascii.h"

namespace weir::rls {
namespace {

constexpr std::size_t kMostTimeoutDigits = 8;
constexpr Nanos kLongestTimeout = 36'500 * kDay;

struct CodeTexts {
  std::string_view number, name;
};
constexpr std::array<CodeTexts, 17> kCodes = {{{"0", "OK"},
                                               {"1", "CANCELLED"},
                                               {"2", "UNKNOWN"},
                                               {"3", "INVALID_ARGUMENT"},
                                               {"4", "DEADLINE_EXCEEDED"},
                                               {"5", "NOT_FOUND"},
                                               {"6", "ALREADY_EXISTS"},
                                               {"7", "PERMISSION_DENIED"},
                                               {"8", "RESOURCE_EXHAUSTED"},
                                               {"9", "FAILED_PRECONDITION"},
                                               {"10", "ABORTED"},
                                               {"11", "OUT_OF_RANGE"},
                                               {"12", "UNIMPLEMENTED"},
                                               {"13", "INTERNAL"},
                                               {"14", "UNAVAILABLE"},
                                               {"15", "DATA_LOSS"},
                                               {"16", "UNAUTHENTICATED"}}};

const CodeTexts& TextsOf(Code code) {
  const auto index = static_cast<std::size_t>(code);
  return kCodes[index < kCodes.size() ? index : static_cast<std::size_t>(Code::kUnknown)];
}

std::optional<Nanos> UnitOf(char letter) {
  switch (letter) {
    case 'H':
      return kHour;
    case 'M':
      return kMinute;
    case 'S':
      return kSecond;
    case 'm':
      return kMillisecond;
    case 'u':
      return kMicrosecond;
    case 'n':
      return 1;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<Nanos> ParseTimeout(std::string_view text) {
  if (text.size() < 2 || text.size() > kMostTimeoutDigits + 1) return std::nullopt;
  const std::optional<Nanos> unit = UnitOf(text.back());
  if (!unit) return std::nullopt;
  Nanos count = 0;
  for (const char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    count = count * 10 + (c - '0');
  }
  return count > kLongestTimeout / *unit ? kLongestTimeout : count * *unit;
}

bool IsGrpcContentType(std::string_view text) {
  constexpr std::string_view kGrpc = "application/grpc";
  if (text == kGrpc) return true;
  if (text.size() < kGrpc.size() || !EqualsIgnoreCase(text.substr(0, kGrpc.size()), kGrpc)) return false;
  text.remove_prefix(kGrpc.size());
  if (text.starts_with('+')) {
    constexpr std::string_view kProto = "+proto";
    if (text.size() < kProto.size() || !EqualsIgnoreCase(text.substr(0, kProto.size()), kProto)) return false;
    text.remove_prefix(kProto.size());
  }
  return text.empty() || text[0] == ';' || text[0] == ' ';
}

void AppendPercentEncoded(std::string_view text, std::string* out) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte <= 0x7E && c != '%') {
      out->push_back(c);
    } else {
      out->push_back('%');
      out->push_back(kHex[byte >> 4U]);
      out->push_back(kHex[byte & 15U]);
    }
  }
}

std::string_view CodeText(Code code) { return TextsOf(code).number; }
std::string_view CodeName(Code code) { return TextsOf(code).name; }

}  // namespace weir::rls
