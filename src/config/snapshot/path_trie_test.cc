#include "config/snapshot/path_trie.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "config/snapshot/path_oracle.h"

namespace weir::config {
namespace {

using oracle::SlowCompare;
using oracle::SlowGlob;
using oracle::SlowMatch;

PathTrieBuilder BuilderOf(const std::vector<std::string>& patterns) {
  PathTrieBuilder builder;
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    builder.Insert(ParsePathPattern(patterns[i]).value(), static_cast<std::uint32_t>(i));
  }
  return builder;
}

PathTrie Build(const std::vector<std::string>& patterns) { return BuilderOf(patterns).Build(); }

std::vector<std::uint32_t> VisitAll(const PathTrie& trie, std::string_view path) {
  std::vector<std::uint32_t> seen;
  EXPECT_FALSE(trie.Visit(path, [&](std::uint32_t value) {
    seen.push_back(value);
    return false;
  }));
  return seen;
}

// Every sequence of up to `depth` symbols, each with a '/' before it.
std::vector<std::string> Worlds(const std::vector<std::string>& symbols, int depth) {
  std::vector<std::string> all = {""};
  std::size_t begin = 0;
  for (int level = 0; level < depth; ++level) {
    const std::size_t end = all.size();
    for (std::size_t i = begin; i < end; ++i) {
      for (const std::string& symbol : symbols) all.push_back(all[i] + "/" + symbol);
    }
    begin = end;
  }
  return all;
}

TEST(PathPattern, ReadsEveryForm) {
  using Kind = PathSegment::Kind;
  const auto kinds = [](std::string_view text) {
    const auto pattern = ParsePathPattern(text).value();
    std::vector<Kind> out;
    for (const auto& segment : pattern.segments) out.push_back(segment.kind);
    return std::pair(out, pattern.rest);
  };
  EXPECT_EQ(kinds("/"), std::pair(std::vector<Kind>{}, false));
  EXPECT_EQ(kinds("/a"), std::pair(std::vector{Kind::kLiteral}, false));
  EXPECT_EQ(kinds("/a/"), std::pair(std::vector{Kind::kLiteral}, false));
  EXPECT_EQ(kinds("/a/{id}/*/b"),
            std::pair(std::vector{Kind::kLiteral, Kind::kAny, Kind::kAny, Kind::kLiteral}, false));
  EXPECT_EQ(kinds("/img-*.png"), std::pair(std::vector{Kind::kGlob}, false));
  EXPECT_EQ(kinds("/{a}-{b}"), std::pair(std::vector{Kind::kGlob}, false));
  EXPECT_EQ(kinds("/{a}{b}/x"), std::pair(std::vector{Kind::kAny, Kind::kLiteral}, false));
  EXPECT_EQ(kinds("/a/*"), std::pair(std::vector{Kind::kLiteral}, true));
  EXPECT_EQ(kinds("/a/**"), std::pair(std::vector{Kind::kLiteral}, true));
  for (const char* all : {"*", "**", "/*", "/**"}) EXPECT_EQ(kinds(all), std::pair(std::vector<Kind>{}, true));
  EXPECT_EQ(ParsePathPattern("/caf%c3%a9")->segments[0].literal, "caf\xc3\xa9");
  EXPECT_EQ(ParsePathPattern("/%2A")->segments[0].literal, "*");
  EXPECT_EQ(ParsePathPattern("/a%2fb")->segments[0].literal, "a%2Fb");
  EXPECT_EQ(ParsePathPattern("/{id}.json").value(), ParsePathPattern("/*.json").value());
}

TEST(PathPattern, SaysWhatIsWrong) {
  for (const char* text :
       {"",    "a",   "a/b",         "//",       "/a//b", "/a//", "/a?x",    "/a#x", "/{",      "/}",      "/{}",
        "/{a", "/a}", "/{a:[0-9]+}", "/{*rest}", "/**/a", "/a**", "/a**b/c", "/.",   "/a/../b", "/%2e%2e", "/{a{b}}"}) {
    const auto pattern = ParsePathPattern(text);
    ASSERT_FALSE(pattern.has_value()) << text;
    EXPECT_FALSE(pattern.error().message.empty());
  }
  std::string deep;
  for (int i = 0; i < 65; ++i) deep += "/a";
  EXPECT_FALSE(ParsePathPattern(deep));
  EXPECT_TRUE(ParsePathPattern(deep.substr(2)));
  EXPECT_FALSE(ParsePathPattern("/" + std::string(3000, 'a')));
}

TEST(PathPattern, GlobAgreesWithBacktracking) {
  std::vector<std::string> texts = {""};
  std::vector<std::string> globs = {""};
  for (std::size_t i = 0; i < texts.size() && texts[i].size() < 6; ++i) {
    for (const char c : {'a', 'b'}) texts.push_back(texts[i] + c);
  }
  for (std::size_t i = 0; i < globs.size() && globs[i].size() < 5; ++i) {
    for (const char c : {'a', 'b', '*'}) globs.push_back(globs[i] + c);
  }
  for (const std::string& glob : globs) {
    const bool tried = glob.find('*') != std::string::npos && glob.find("**") == std::string::npos && glob != "*";
    if (!tried) continue;
    const auto pattern = ParsePathPattern("/" + glob + "/x").value();
    for (const std::string& text : texts) {
      ASSERT_EQ(pattern.segments[0].glob.Matches(text), SlowGlob(glob, text)) << glob << " " << text;
    }
  }
}

// Overlap is told by looking for a common path among all short ones. Texts of up to 6 characters suffice for globs of
// up to 5: a shortest common text needs no character beyond those that the two fix.
TEST(PathPattern, OverlapAgreesWithSearch) {
  std::vector<std::string> texts = {""};
  for (std::size_t i = 0; i < texts.size() && texts[i].size() < 6; ++i) {
    for (const char c : {'a', 'b'}) texts.push_back(texts[i] + c);
  }
  const std::vector<std::string> globs = {"a*",  "*a",   "b*",  "*b",  "a*b",   "b*a",  "*a*",
                                          "a*a", "*ab*", "ab*", "*ba", "a*b*a", "*a*b*"};
  const std::vector<std::string> segments = {"a", "ab", "{x}", "a*b", "b*"};
  for (const auto& a : globs) {
    for (const auto& b : globs) {
      const bool expected =
          std::ranges::any_of(texts, [&](const auto& text) { return SlowGlob(a, text) && SlowGlob(b, text); });
      const auto left = ParsePathPattern("/" + a + "/x").value();
      const auto right = ParsePathPattern("/" + b + "/x").value();
      ASSERT_EQ(Overlap(left.segments[0].glob, right.segments[0].glob), expected) << a << " " << b;
    }
  }
  const auto patterns = Worlds({"a", "ab", "{x}", "a*b", "b*"}, 2);
  const auto paths = Worlds({"a", "b", "ab", "ba", "aab"}, 3);
  for (const auto& a : patterns) {
    for (const auto& b : patterns) {
      for (const char* end : {"", "/**"}) {
        const std::string left = (a.empty() ? "/" : a);
        const std::string right = b + end;
        if (right.empty()) continue;
        const bool expected = std::ranges::any_of(
            paths, [&](const auto& path) { return SlowMatch(left, path) && SlowMatch(right, path); });
        ASSERT_EQ(Overlap(ParsePathPattern(left).value(), ParsePathPattern(right).value()), expected)
            << left << " " << right;
      }
    }
  }
}

TEST(PathTrie, MostSpecificFirst) {
  const std::vector<std::string> patterns = {"/**",          "/users/*",  "/users/{id}",
                                             "/users/me",    "/users/m*", "/users/{id}/posts",
                                             "/users/me/**", "/users/*e", "/"};
  const PathTrie trie = Build(patterns);
  const auto names = [&](std::string_view path) {
    std::vector<std::string> out;
    for (const auto value : VisitAll(trie, path)) out.push_back(patterns[value]);
    return out;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names("/users/me"),
            (Names{"/users/me", "/users/me/**", "/users/m*", "/users/*e", "/users/{id}", "/users/*", "/**"}));
  EXPECT_EQ(names("/users/me/"), names("/users/me"));
  EXPECT_EQ(names("/users/7/posts"), (Names{"/users/{id}/posts", "/users/*", "/**"}));
  EXPECT_EQ(names("/users/me/posts"), (Names{"/users/me/**", "/users/{id}/posts", "/users/*", "/**"}));
  EXPECT_EQ(names("/users"), (Names{"/users/*", "/**"}));
  EXPECT_EQ(names("/"), (Names{"/", "/**"}));
  EXPECT_EQ(names(""), Names{});
  EXPECT_EQ(names("/Users/me"), Names{"/**"});
}

TEST(PathTrie, AgreesWithTheSlowReadingOnSmallWorlds) {
  std::vector<std::string> patterns;
  for (const std::string& pattern : Worlds({"a", "b", "a*", "*b", "a*b", "{x}"}, 3)) {
    if (!pattern.empty()) patterns.push_back(pattern);
    patterns.push_back(pattern + "/**");
  }
  patterns.push_back("/");
  const std::vector<std::string> paths = Worlds({"a", "b", "ab", "ba"}, 4);
  std::mt19937 random(17);
  for (int round = 0; round < 400; ++round) {
    std::vector<std::string> chosen;
    for (auto n = 1 + random() % (round % 4 == 0 ? 60 : 8); n > 0; --n)
      chosen.push_back(patterns[random() % patterns.size()]);
    std::ranges::sort(chosen);
    chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
    const PathTrie trie = Build(chosen);
    ASSERT_TRUE(BuilderOf(chosen).SamePatterns().empty());
    for (const std::string& path : paths) {
      if (path.empty()) continue;
      std::vector<std::uint32_t> expected;
      for (std::size_t i = 0; i < chosen.size(); ++i) {
        if (SlowMatch(chosen[i], path)) expected.push_back(static_cast<std::uint32_t>(i));
      }
      std::ranges::stable_sort(expected,
                               [&](std::uint32_t a, std::uint32_t b) { return SlowCompare(chosen[a], chosen[b]) < 0; });
      ASSERT_EQ(VisitAll(trie, path), expected) << path;
    }
  }
}

TEST(PathTrie, StopsWhenTold) {
  const PathTrie trie = Build({"/a", "/{x}", "/**"});
  int visits = 0;
  EXPECT_TRUE(trie.Visit("/a", [&](std::uint32_t value) {
    ++visits;
    return value == 1;
  }));
  EXPECT_EQ(visits, 2);
}

TEST(PathTrie, FindsSamePatternsAndRivals) {
  EXPECT_EQ(BuilderOf({"/a/{x}", "/a/{y}", "/b"}).SamePatterns().size(), 1u);
  EXPECT_EQ(BuilderOf({"/a/**", "/a/*"}).SamePatterns().size(), 1u);
  EXPECT_TRUE(BuilderOf({"/a*", "/*a", "/b*", "/ab*", "/1*2", "/2*1"}).RivalGlobs().empty());
  EXPECT_EQ(BuilderOf({"/a*b*c*d/x", "/a*c*b*d/{y}"}).RivalGlobs().size(), 1u);
}

TEST(PathTrie, ManyLiteralsBesideEachOther) {
  std::vector<std::string> patterns;
  for (int i = 0; i < 3'000; ++i) patterns.push_back("/x/" + std::to_string(i) + "/" + std::to_string(i % 7));
  for (int i = 0; i < 10; ++i) patterns.push_back("/" + std::to_string(i) + "/" + std::to_string(i % 7));
  const PathTrie trie = Build(patterns);
  for (std::uint32_t i = 0; i < patterns.size(); ++i) {
    ASSERT_EQ(VisitAll(trie, patterns[i]), std::vector{i});
    ASSERT_TRUE(VisitAll(trie, patterns[i] + "0").empty());
  }
}

// 2^12 leaves share one shape of path; whatever path is asked for, no more nodes are seen than there are.
TEST(PathTrie, HostilePathsCostNoMoreThanTheTree) {
  std::vector<std::string> patterns;
  for (int bits = 0; bits < 4096; ++bits) {
    std::string pattern;
    for (int i = 0; i < 12; ++i) pattern += (bits >> i & 1) != 0 ? "/a" : "/{x}";
    patterns.push_back(pattern + "/end");
  }
  const PathTrie trie = Build(patterns);
  std::string path;
  for (int i = 0; i < 12; ++i) path += "/a";
  EXPECT_EQ(VisitAll(trie, path + "/end").size(), 4096u);
  for (int i = 0; i < 5'000; ++i) path += "/a";
  EXPECT_TRUE(VisitAll(trie, path).empty());
  EXPECT_TRUE(VisitAll(Build({"/*a*a*a*a*a*b"}), "/" + std::string(200'000, 'a')).empty());
}

TEST(PathTrie, PatternsThatIgnoreCase) {
  // Many siblings, so that they are looked up by their hash; of each name one that heeds case and one that does not.
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i) names.push_back("/Name" + std::to_string(i));
  PathTrieBuilder builder;
  for (std::size_t i = 0; i < names.size(); ++i) {
    builder.Insert(ParsePathPattern(names[i], true).value(), static_cast<std::uint32_t>(i));
    if (i % 2 == 0) builder.Insert(ParsePathPattern(names[i]).value(), static_cast<std::uint32_t>(100 + i));
  }
  builder.Insert(ParsePathPattern("/na*E5", true).value(), 200);
  builder.Insert(ParsePathPattern("/Na*e5").value(), 201);
  EXPECT_TRUE(builder.SamePatterns().empty());
  const PathTrie trie = builder.Build();
  using Values = std::vector<std::uint32_t>;
  EXPECT_EQ(VisitAll(trie, "/Name6"), (Values{106, 6}));
  EXPECT_EQ(VisitAll(trie, "/NAME6"), (Values{6}));
  EXPECT_EQ(VisitAll(trie, "/name7"), (Values{7}));
  EXPECT_EQ(VisitAll(trie, "/Name5"), (Values{5, 201, 200}));
  EXPECT_EQ(VisitAll(trie, "/nAmE5"), (Values{5, 200}));
  EXPECT_EQ(VisitAll(trie, "/name"), Values{});
  EXPECT_EQ(VisitAll(trie, "/" + std::string(5000, 'n')), Values{});
}

TEST(PathPattern, OverlapsWhereSomeSpellingMatchesBoth) {
  const auto overlap = [](std::string_view a, bool a_any, std::string_view b, bool b_any) {
    return Overlap(ParsePathPattern(a, a_any).value(), ParsePathPattern(b, b_any).value());
  };
  EXPECT_FALSE(overlap("/a", false, "/A", false));
  EXPECT_TRUE(overlap("/a", true, "/A", false));
  EXPECT_TRUE(overlap("/A", true, "/a", true));
  EXPECT_TRUE(overlap("/LOG*", false, "/login", true));
  EXPECT_FALSE(overlap("/LOG*", false, "/login", false));
  EXPECT_TRUE(overlap("/L*in", false, "/lo*N", true));
}

}  // namespace
}  // namespace weir::config
