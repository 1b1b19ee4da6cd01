#include "storage/redis/key_name.h"

#include <algorithm>

namespace weir::storage::redis {
namespace {

constexpr std::size_t kLongestSubject = 128;
constexpr std::size_t kLongestRule = 200;
constexpr char kHex[] = "0123456789abcdef";

bool Visible(char c) { return c > ' ' && c < '\x7f' && c != '{' && c != '}'; }

void AppendHex(std::string& out, std::uint64_t value) {
  for (int shift = 60; shift >= 0; shift -= 4) out.push_back(kHex[(value >> shift) & 15]);
}

void AppendRule(std::string& out, std::string_view rule) {
  for (const char c : rule.substr(0, kLongestRule)) {
    if (Visible(c) && c != ':' && c != '%') {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.push_back('%');
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    }
  }
  if (rule.size() > kLongestRule) {
    // What stands before already decodes to kLongestRule bytes, so no shorter rule is named like this one.
    out.push_back('%');
    AppendHex(out, Hash64(rule));
  }
}

void AppendSubject(std::string& out, std::string_view subject, const Key& key) {
  const bool plain =
      subject.size() <= kLongestSubject && !subject.starts_with('#') && std::ranges::all_of(subject, Visible);
  if (plain) {
    out += subject;
    return;
  }
  out.push_back('#');
  AppendHex(out, key.hi);
  AppendHex(out, key.lo);
}

}  // namespace

void AppendKeyName(std::string& out, std::string_view prefix, std::string_view rule, std::string_view subject,
                   const Key& key) {
  out += prefix;
  out += kKeyVersion;
  out.push_back(':');
  AppendRule(out, rule);
  out.push_back(':');
  AppendSubject(out, subject, key);
}

}  // namespace weir::storage::redis
