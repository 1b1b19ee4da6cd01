#include "config/document/scalar_place.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::config {
namespace {

// The text at `key` of a document, and for each byte of it the byte of the document that says it.
void ExpectFound(const std::string& source, std::string_view marked) {
  const bool json = source.starts_with("{\"");
  const ParsedTree tree = json ? ParseJsonTree(source) : ParseYamlTree(source);
  ASSERT_TRUE(tree.faults.empty()) << source;
  const Node* const scalar = tree.root.Find("when");
  ASSERT_NE(scalar, nullptr) << source;
  const std::size_t offset = scalar->text.find(marked);
  ASSERT_NE(offset, std::string::npos) << scalar->text;
  const auto place = PlaceInScalar(source, *scalar, offset);
  ASSERT_TRUE(place) << source;
  std::size_t line_begin = 0;
  for (std::uint32_t line = 1; line < place->line; ++line) line_begin = source.find('\n', line_begin) + 1;
  EXPECT_EQ(source.substr(line_begin + place->column - 1, marked.size()), marked)
      << source << "\nline " << place->line << " column " << place->column;
}

TEST(ScalarPlace, IsFoundHoweverTheTextIsWritten) {
  for (const char* source : {
           "when: a == HERE\n",
           "x: 1\nwhen: a == HERE && b\ny: 2\n",
           "when: 'it''s == HERE'\n",
           "when: 'a ==\n  HERE'\n",
           "when: \"a == \\\"x\\\" == HERE\"\n",
           "when: \"\\u00e9\\x41\\n\\t\\_ == HERE\"\n",
           "when: \"caf\xc3\xa9 == HERE\"\n",
           "when: \"a\n\n  b   \n  == HERE\"\n",
           "when: \"a \\\n   == HERE\"\n",
           "when: a\n  == b\n  == HERE\n",
           "when: |\n  a == b\n  && HERE\n",
           "when: |-\n\n    a == b\n      && c\n    && HERE\n",
           "when: |2\n    a == b\n  && HERE\n",
           "when: >\n  a == b\n  && c\n  && HERE\n",
           "when: >-\n  a == b\n\n\n  && c\n    more\n  && HERE\n",
           "when: &name a == HERE\n",
           "when: &name\n  'a == HERE'\n",
           "when: |\r\n  a == b\r\n  && HERE\r\n",
           "{\"x\": 1, \"when\": \"a == HERE\"}\n",
           "{\"when\": \"\\ud83d\\ude00\\u00e9 == \\\"x\\\" HERE\"}\n",
           "{when: a == HERE}\n",
       }) {
    ExpectFound(source, "HERE");
  }
}

TEST(ScalarPlace, BehindTheEndIsTheEnd) {
  const std::string source = "when: 'a =='\n";
  const ParsedTree tree = ParseYamlTree(source);
  const auto place = PlaceInScalar(source, *tree.root.Find("when"), 100);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->line, 1U);
  EXPECT_EQ(place->column, 12U);
}

TEST(ScalarPlace, WhatHasNoPlaceHasNone) {
  EXPECT_FALSE(PlaceInScalar("", Node::String("x"), 0));
  Node far = Node::String("x");
  far.line = 9;
  far.column = 1;
  EXPECT_FALSE(PlaceInScalar("a: b\n", far, 0));
}

}  // namespace
}  // namespace weir::config
