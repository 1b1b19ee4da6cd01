#include "base/path.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

namespace weir {
namespace {

std::string Normal(std::string_view raw) {
  PathBuffer buffer;
  return std::string(NormalizePath(raw, buffer).path);
}
std::string Lenient(std::string_view raw) {
  PathBuffer buffer;
  return std::string(NormalizePathLeniently(raw, buffer));
}
bool Ambiguous(std::string_view raw) {
  PathBuffer buffer;
  return NormalizePath(raw, buffer).ambiguous;
}

std::vector<std::string> Readings(std::string_view raw) {
  const PathReadings readings(raw);
  EXPECT_EQ(readings.first(), readings.all()[0]);
  return {readings.all().begin(), readings.all().end()};
}

// The header's text, done the slow way: drop the origin and what follows the path, decode into (byte, is separator)
// tokens, split, drop, join.
std::string SlowNormal(const std::string& raw, bool lenient, bool cut = true) {
  struct Token {
    std::string text;
    bool separator = false;
    bool ends_segment_text = false;
  };
  std::string path = raw;
  const std::string scheme = raw.substr(0, raw.find("://"));
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  if (scheme.size() < raw.size() && !scheme.empty() && kLetters.find(scheme[0]) != std::string_view::npos &&
      scheme.find_first_not_of(std::string(kLetters) + "0123456789+-.") == std::string::npos) {
    path = raw.substr(scheme.size() + 3);
    const auto in_authority = [&](char c) {
      return c != '/' && c != '?' && (c != '#' || !cut) && (c != '\\' || !lenient);
    };
    while (!path.empty() && in_authority(path.front())) path.erase(0, 1);
    if (path.empty() || path.front() == '?' || path.front() == '#') path = "/";
  }
  path = path.substr(0, path.find('?'));
  if (cut) path = path.substr(0, path.find('#'));
  std::vector<Token> tokens;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const bool triplet = path[i] == '%' && i + 2 < path.size() &&
                         std::isxdigit(static_cast<unsigned char>(path[i + 1])) &&
                         std::isxdigit(static_cast<unsigned char>(path[i + 2]));
    if (path[i] == '%' && !triplet) {
      tokens.push_back({"%25"});
      continue;
    }
    const char c = triplet ? static_cast<char>(std::stoi(path.substr(i + 1, 2), nullptr, 16)) : path[i];
    if (triplet) i += 2;
    if ((c == '/' && (!triplet || lenient)) || (c == '\\' && lenient)) {
      tokens.push_back({"", true});
    } else if (c == ';' && lenient) {
      tokens.push_back({"", false, true});
    } else if (triplet && c == '/') {
      tokens.push_back({"%2F"});
    } else if (triplet && c == '%') {
      tokens.push_back({"%25"});
    } else if (triplet && c == '?') {
      tokens.push_back({"%3F"});
    } else if (triplet && c == '#') {
      tokens.push_back({"%23"});
    } else {
      tokens.push_back({std::string(1, c)});
    }
  }
  if (tokens.empty()) return "";
  std::vector<std::string> segments(1);
  bool dropping = false;
  for (const Token& token : tokens) {
    if (token.separator) {
      segments.emplace_back();
      dropping = false;
    } else if (token.ends_segment_text) {
      dropping = true;
    } else if (!dropping) {
      segments.back() += token.text;
    }
  }
  const std::string last = segments.back();
  std::vector<std::string> kept;
  for (const std::string& segment : segments) {
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (!segment.empty() && segment != ".") {
      kept.push_back(segment);
    }
  }
  std::string out = tokens[0].separator ? "/" : "";
  for (std::size_t i = 0; i < kept.size(); ++i) out += (i > 0 ? "/" : "") + kept[i];
  if (!kept.empty() && (last.empty() || last == "." || last == "..")) out += '/';
  return out;
}

TEST(NormalizePath, LeavesANormalPathWhereItIs) {
  PathBuffer buffer;
  for (const std::string_view raw : {"/", "/a", "/a/", "/a/b.c/d-e_f~", "/img-*.png", "/a/{b}", ""}) {
    const NormalPath normal = NormalizePath(raw, buffer);
    EXPECT_EQ(normal.path.data(), raw.data());
    EXPECT_EQ(normal.path, raw);
    EXPECT_FALSE(normal.ambiguous);
  }
}

TEST(NormalizePath, UndoesEverySpelling) {
  EXPECT_EQ(Normal("/login?x=1"), "/login");
  EXPECT_EQ(Normal("/login#x"), "/login");
  EXPECT_EQ(Normal("//login"), "/login");
  EXPECT_EQ(Normal("/api///v1//x"), "/api/v1/x");
  EXPECT_EQ(Normal("/l%6Fgin"), "/login");
  EXPECT_EQ(Normal("/a%2bb"), "/a+b");
  EXPECT_EQ(Normal("/%c3%a9"), "/\xc3\xa9");
  EXPECT_EQ(Normal("/public/../login"), "/login");
  EXPECT_EQ(Normal("/public/%2e%2E/login"), "/login");
  EXPECT_EQ(Normal("/public/.%2e/login"), "/login");
  EXPECT_EQ(Normal("/./login/."), "/login/");
  EXPECT_EQ(Normal("/a/b/.."), "/a/");
  EXPECT_EQ(Normal("/../../login"), "/login");
  EXPECT_EQ(Normal("/.."), "/");
  EXPECT_EQ(Normal("/.well-known/x"), "/.well-known/x");
  EXPECT_EQ(Normal("/..."), "/...");
  EXPECT_EQ(Normal("a/./b"), "a/b");
}

TEST(NormalizePath, DecodesOnceAndKeepsWhatWouldChangeMeaning) {
  EXPECT_EQ(Normal("/a%2fb"), "/a%2Fb");
  EXPECT_EQ(Normal("/a%252e"), "/a%252e");
  EXPECT_EQ(Normal("/a%3f%23"), "/a%3F%23");
  EXPECT_EQ(Normal("/100%"), "/100%25");
  EXPECT_EQ(Normal("/%zz"), "/%25zz");
  EXPECT_EQ(Normal("/%4"), "/%254");
}

TEST(NormalizePath, SaysWhatServersReadInTwoWays) {
  EXPECT_TRUE(Ambiguous("/public/..%2flogin"));
  EXPECT_TRUE(Ambiguous("/public/..;/login"));
  EXPECT_TRUE(Ambiguous("/public\\login"));
  EXPECT_TRUE(Ambiguous("/public%5clogin"));
  EXPECT_TRUE(Ambiguous("/login%3b"));
  EXPECT_FALSE(Ambiguous("/public/%2e%2e/login"));
  EXPECT_EQ(Lenient("/public/..%2flogin"), "/login");
  EXPECT_EQ(Lenient("/public/..;/login"), "/login");
  EXPECT_EQ(Lenient("/public/..;x=1/login;jsessionid=2"), "/login");
  EXPECT_EQ(Lenient("/public/..%5clogin"), "/login");
  EXPECT_EQ(Lenient("\\login"), "/login");
  EXPECT_EQ(Lenient("%2flogin"), "/login");
  EXPECT_EQ(Normal("/public/..;/login"), "/public/..;/login");
}

TEST(NormalizePath, AnOriginIsOnlyAtTheFront) {
  EXPECT_EQ(Normal("https://site.example/login?x=1"), "/login");
  EXPECT_EQ(Normal("HTTP://user:pw@[::1]:80/a/../login"), "/login");
  EXPECT_EQ(Normal("a+b-c.1://x/login"), "/login");
  EXPECT_EQ(Normal("https://site.example"), "/");
  EXPECT_EQ(Normal("https://site.example?x=/login"), "/");
  EXPECT_EQ(Normal("https://site.example#/login"), "/");
  EXPECT_EQ(Normal("https:///login"), "/login");
  EXPECT_EQ(Normal("https://a://b/login"), "/b/login") << "the authority ends at the first '/'";
  EXPECT_EQ(Normal("secret?u=://x/exempt/a"), "secret");
  EXPECT_EQ(Normal("/secret?u=https://x/exempt/a"), "/secret");
  EXPECT_EQ(Normal("/https://x/exempt/a"), "/https:/x/exempt/a");
  EXPECT_EQ(Normal("secret://x/exempt/a"), "/exempt/a");
  EXPECT_EQ(Normal("se/cret://x/exempt/a"), "se/cret:/x/exempt/a");
  EXPECT_EQ(Normal("1a://x/exempt/a"), "1a:/x/exempt/a");
  EXPECT_EQ(Normal("://x/exempt/a"), ":/x/exempt/a");
  EXPECT_EQ(Normal("https:/x/a"), "https:/x/a");
  EXPECT_EQ(Normal("//x/a"), "/x/a");
  EXPECT_EQ(Normal("*"), "*");
}

TEST(PathReadings, AreAllThatServersMayHave) {
  using Paths = std::vector<std::string>;
  EXPECT_EQ(Readings("/a?b#c"), Paths({"/a"}));
  EXPECT_EQ(Readings(""), Paths({""}));
  EXPECT_EQ(Readings("/exempt/a#/../../secret"), Paths({"/exempt/a", "/secret"}));
  EXPECT_EQ(Readings("/exempt/a#"), Paths({"/exempt/a", "/exempt/a#"}));
  EXPECT_EQ(Readings("/exempt/a%23/../../secret"), Paths({"/secret"})) << "nobody takes an escaped one for a fragment";
  EXPECT_EQ(Readings("#/login"), Paths({"", "#/login"}));
  EXPECT_EQ(Readings("/public/..%2flogin"), Paths({"/public/..%2Flogin", "/login"}));
  EXPECT_EQ(Readings("/a;x#/../b;y"), Paths({"/a;x", "/a", "/b;y", "/b"}));
  EXPECT_EQ(Readings("https://x\\login/../exempt"), Paths({"/exempt"}));
  EXPECT_EQ(Readings("https://x\\secret\\b/../exempt"), Paths({"/exempt", "/secret/exempt"}));
  EXPECT_EQ(Readings("https://x#/login"), Paths({"/", "/login"}));
}

TEST(PathReadings, PartsAreAsSent) {
  EXPECT_EQ(PathOfTarget("/a%2f?b=c#d"), "/a%2f");
  EXPECT_EQ(PathOfTarget("/a#b?c"), "/a");
  EXPECT_EQ(PathOfTarget("https://x/a/../b?c"), "/a/../b");
  EXPECT_EQ(PathOfTarget("https://x?c"), "/");
  EXPECT_EQ(PathOfTarget(""), "");
  EXPECT_EQ(QueryOfTarget("/a?b?c"), "b?c");
  EXPECT_EQ(QueryOfTarget("https://x?c"), "c");
  EXPECT_EQ(QueryOfTarget("/a"), "");
}

TEST(NormalizePath, IsBoundedOnHostilePaths) {
  std::string path;
  for (int i = 0; i < 100'000; ++i) path += "/..";
  EXPECT_EQ(Normal(path), "/");
  path.clear();
  for (int i = 0; i < 50'000; ++i) path += "/a";
  for (int i = 0; i < 50'000; ++i) path += "/..";
  EXPECT_EQ(Normal(path), "/");
  EXPECT_EQ(Normal(std::string(300'000, '/')), "/");
  EXPECT_EQ(Normal("/" + std::string(1000, '%')).size(), 3001u);
}

// Every string of a small alphabet up to a length, then longer random ones.
TEST(NormalizePath, AgreesWithTheSlowReading) {
  const std::vector<std::string> alphabet = {"/", ".", "a", "%2e", "%2f", "\\", ";", "%", "%25", "#"};
  std::vector<std::string> level = {""};
  const auto check = [](const std::string& raw) {
    ASSERT_EQ(Normal(raw), SlowNormal(raw, false)) << raw;
    ASSERT_EQ(Lenient(raw), SlowNormal(raw, true)) << raw;
    ASSERT_EQ(Normal(Normal(raw)), Normal(raw)) << raw;
    if (!Ambiguous(raw)) {
      ASSERT_EQ(Lenient(raw), Normal(raw)) << raw;
    }
    std::set<std::string> expected;
    for (const bool lenient : {false, true}) {
      for (const bool cut : {false, true}) expected.insert(SlowNormal(raw, lenient, cut));
    }
    const std::vector<std::string> readings = Readings(raw);
    ASSERT_EQ(std::set<std::string>(readings.begin(), readings.end()), expected) << raw;
    ASSERT_EQ(readings.size(), expected.size()) << raw;
    if (raw.starts_with('/')) {
      ASSERT_EQ(Readings("https://site.example" + raw), readings) << raw;
    }
  };
  for (int length = 0; length < 4; ++length) {
    std::vector<std::string> next;
    for (const std::string& prefix : level) {
      for (const std::string& symbol : alphabet) next.push_back(prefix + symbol);
    }
    for (const std::string& raw : next) check(raw);
    level = std::move(next);
  }
  const std::vector<std::string> more = {"/", "/",   ".",  "..",  "a", "b",  "%2E",     "%5c", "%3B",
                                         "?", "%C3", "%0", "x.y", "#", "\\", "http://", "://"};
  std::mt19937 random(7);
  for (int i = 0; i < 50'000; ++i) {
    std::string raw = random() % 4 == 0 ? "http://" : "/";
    for (auto n = random() % 12; n > 0; --n) raw += more[random() % more.size()];
    check(raw);
  }
}

// The quick look over a path takes it in blocks: every odd byte must be seen, wherever it stands.
TEST(NormalizePath, SeesOddBytesAtEveryPlace) {
  for (std::size_t length = 1; length < 50; ++length) {
    for (std::size_t at = 0; at < length; ++at) {
      for (const std::string odd : {".", "..", "/", "//", "%2e", "\\", ";", "?", "#", "x", "./", "/."}) {
        for (const std::size_t slash : {std::size_t{0}, length / 3, at > 0 ? at - 1 : 0}) {
          std::string path = "/" + std::string(length, 'a');
          path[slash] = '/';
          path.replace(at, odd.size(), odd);
          ASSERT_EQ(Normal(path), SlowNormal(path, false)) << path;
        }
      }
    }
  }
}

}  // namespace
}  // namespace weir
