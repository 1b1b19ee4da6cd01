// Text to tree: places, strictness and bounds.
#include <gtest/gtest.h>

#include <string>

#include "config/document/node.h"

namespace weir::config {
namespace {

std::string FaultOf(const ParsedTree& tree) { return tree.faults.empty() ? "" : Describe(tree.faults.front()); }

TEST(ParseJson, GivesThePlaceOfEveryValue) {
  const ParsedTree tree = ParseJsonTree("{ \"a\" : 1,\n  \"b\":[true , null,\n\"x\\\"]\\n\"], \"c\\u0041\" : { } }\n");
  ASSERT_TRUE(tree.faults.empty());
  const Node& root = tree.root;
  ASSERT_EQ(root.children.size(), 3U);
  EXPECT_EQ(root.Find("a")->line, 1U);
  EXPECT_EQ(root.Find("a")->column, 9U);
  EXPECT_EQ(root.Find("a")->text, "1");
  const Node& list = *root.Find("b");
  EXPECT_EQ(list.key_line, 2U);
  EXPECT_EQ(list.column, 7U);
  ASSERT_EQ(list.children.size(), 3U);
  EXPECT_EQ(list.children[0].kind, Node::Kind::kBool);
  EXPECT_EQ(list.children[1].kind, Node::Kind::kNull);
  EXPECT_EQ(list.children[1].column, 15U);
  EXPECT_EQ(list.children[2].text, "x\"]\n");
  EXPECT_EQ(list.children[2].line, 3U);
  EXPECT_EQ(root.Find("cA")->kind, Node::Kind::kMap);
  EXPECT_EQ(root.Find("cA")->line, 3U);
}

TEST(ParseJson, IsStrict) {
  EXPECT_EQ(FaultOf(ParseJsonTree("{\"a\": 1,}")).substr(0, 16), "line 1: not JSON");
  EXPECT_EQ(FaultOf(ParseJsonTree("{\n\"a\": 01}")).substr(0, 16), "line 2: not JSON");
  EXPECT_EQ(FaultOf(ParseJsonTree("{} x")).substr(0, 16), "line 1: not JSON");
  EXPECT_EQ(FaultOf(ParseJsonTree("{\"a\": \"\xff\"}")).substr(0, 16), "line 1: not JSON");
  EXPECT_EQ(FaultOf(ParseJsonTree("// c\n{}")).substr(0, 16), "line 1: not JSON");
  EXPECT_EQ(FaultOf(ParseJsonTree("{\"a\": NaN}")).substr(0, 16), "line 1: not JSON");
  EXPECT_NE(FaultOf(ParseJsonTree("")), "");
  EXPECT_EQ(FaultOf(ParseJsonTree("\xEF\xBB\xBF{}")), "");
}

TEST(ParseJson, KeepsRepeatedKeysForTheReaderToSee) {
  EXPECT_EQ(ParseJsonTree("{\"a\":1,\"a\":2}").root.children.size(), 2U);
}

TEST(ParseJson, IsBounded) {
  const std::string deep(65, '[');
  EXPECT_EQ(FaultOf(ParseJsonTree(deep + std::string(65, ']'))), "line 1: nested deeper than 64 levels");
  EXPECT_EQ(FaultOf(ParseJsonTree(std::string(64, '[') + std::string(64, ']'))), "");
  EXPECT_EQ(FaultOf(ParseJsonTree(std::string(kMaxDocumentBytes + 1, ' '))), "the document is larger than 16 MiB");
  std::string many = "[0";
  for (std::size_t i = 0; i < kMaxDocumentNodes; ++i) many += ",0";
  EXPECT_EQ(FaultOf(ParseJsonTree(many + "]")), "line 1: too many values (more than 2000000)");
}

TEST(ParseYaml, GivesThePlaceOfEveryValue) {
  const ParsedTree tree = ParseYamlTree("# comment\na: 1\nb:\n  - \"x\"\n  - {c: ~}\nd:\n");
  ASSERT_TRUE(tree.faults.empty()) << FaultOf(tree);
  const Node& root = tree.root;
  EXPECT_EQ(root.Find("a")->kind, Node::Kind::kPlain);
  EXPECT_EQ(root.Find("a")->line, 2U);
  EXPECT_EQ(root.Find("a")->column, 4U);
  EXPECT_EQ(root.Find("b")->key_line, 3U);
  EXPECT_EQ(root.Find("b")->children[0].kind, Node::Kind::kString);
  EXPECT_EQ(root.Find("b")->children[1].Find("c")->kind, Node::Kind::kNull);
  EXPECT_EQ(root.Find("d")->kind, Node::Kind::kNull);
  EXPECT_EQ(root.Find("d")->key_line, 6U);
}

TEST(ParseYaml, ExpandsAnchorsAndMergeKeys) {
  const ParsedTree tree = ParseYamlTree(
      "base: &base {a: 1, b: 2}\nmore: &more {c: 3}\none:\n  <<: *base\n  b: 5\ntwo: {<<: [*more, *base]}\nthree: "
      "*base\n");
  ASSERT_TRUE(tree.faults.empty()) << FaultOf(tree);
  const Node& one = *tree.root.Find("one");
  EXPECT_EQ(one.children.size(), 2U);
  EXPECT_EQ(one.Find("a")->text, "1");
  EXPECT_EQ(one.Find("b")->text, "5");
  EXPECT_EQ(tree.root.Find("two")->children.size(), 3U);
  EXPECT_EQ(tree.root.Find("three")->children.size(), 2U);
  EXPECT_EQ(tree.root.Find("three")->key_line, 7U);
}

TEST(ParseYaml, AMergeOfManyKeysTakesTimeByTheirNumberAlone) {
  std::string text = "base: &base\n";
  for (int i = 0; i < 40'000; ++i) text += "  k" + std::to_string(i) + ": 1\n";
  text += "more:\n  <<: *base\n";
  for (int i = 20'000; i < 60'000; ++i) text += "  k" + std::to_string(i) + ": 2\n";
  const ParsedTree tree = ParseYamlTree(text);
  ASSERT_TRUE(tree.faults.empty()) << FaultOf(tree);
  const std::vector<Node>& more = tree.root.Find("more")->children;
  ASSERT_EQ(more.size(), 60'000U);
  EXPECT_EQ(more[0].text, "2") << "what the map writes itself goes before";
  EXPECT_EQ(more[59'999].key, "k19999");
}

TEST(ParseYaml, OfSeveralDocumentsTheFirst) {
  const ParsedTree tree = ParseFirstYamlTree("a: 1\n---\nb: 2\n");
  ASSERT_TRUE(tree.faults.empty());
  EXPECT_EQ(tree.root.children.size(), 1U);
  EXPECT_EQ(tree.second_line, 3U);
  EXPECT_EQ(ParseFirstYamlTree("a: 1\n").second_line, 0U);
}

TEST(ParseYaml, RefusesWhatItDoesNotUnderstand) {
  EXPECT_EQ(FaultOf(ParseYamlTree("a: !!int 5")),
            "line 1: tags are not supported (a value that begins with '!' needs quotes)");
  EXPECT_EQ(FaultOf(ParseYamlTree("a: 1\n---\nb: 2\n")), "line 3: one document is expected, and here a second begins");
  EXPECT_EQ(FaultOf(ParseYamlTree("? [a]\n: b\n")), "line 1: a key must be text");
  EXPECT_EQ(FaultOf(ParseYamlTree("a: &x {b: *x}\n")), "line 1: an alias may not stand inside the value that it names");
  EXPECT_EQ(FaultOf(ParseYamlTree("a:\n  <<: 5\n")), "line 2: '<<' merges a mapping, or a list of mappings");
  EXPECT_EQ(FaultOf(ParseYamlTree("a: 1\nb: \xff\n")), "line 2: the document is not UTF-8 text");
  EXPECT_EQ(FaultOf(ParseYamlTree(std::string("a: b\0c", 6))), "line 1: the document is not UTF-8 text");
  EXPECT_EQ(FaultOf(ParseYamlTree("a: [1, 2\nb: 3\n")).substr(0, 16), "line 2: not YAML");
  EXPECT_NE(FaultOf(ParseYamlTree("a: *nowhere\n")), "");
}

TEST(ParseYaml, EveryEscapeGivesUtf8) {
  const ParsedTree parsed = ParseYamlTree(R"(a: "\_é\N\L\P\x85\xa0\u00a0\U0001f600\_\_")");
  ASSERT_TRUE(parsed.faults.empty()) << FaultOf(parsed);
  EXPECT_EQ(parsed.root.children.at(0).text, "\u00A0\u00E9\u0085\u2028\u2029\u0085\u00A0\u00A0\U0001F600\u00A0\u00A0");
}

TEST(ParseYaml, IsBounded) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 20; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 0; k < 9; ++k) bomb += ", " + before;
    bomb += "]\n";
  }
  EXPECT_NE(FaultOf(ParseYamlTree(bomb)).find("too many values"), std::string::npos);

  // Levels that aliases pile up count as well.
  std::string tower = "a0: &a0 [x]\n";
  for (int i = 1; i < 70; ++i) {
    tower += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) + "]\n";
  }
  EXPECT_NE(FaultOf(ParseYamlTree(tower)).find("nested deeper than 64 levels"), std::string::npos);

  EXPECT_EQ(FaultOf(ParseYamlTree(std::string(65, '[') + std::string(65, ']'))),
            "line 1: nested deeper than 64 levels");
  EXPECT_NE(FaultOf(ParseYamlTree(std::string(100'000, '['))), "");
  EXPECT_EQ(FaultOf(ParseYamlTree(std::string(kMaxDocumentBytes + 1, '#'))), "the document is larger than 16 MiB");
}

}  // namespace
}  // namespace weir::config
