// The JSON Schema and the reader agree: what one accepts, the other does. (What the schema cannot say, references and
// networks and the like, is Validate's, and not asked here.)
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/document/document.h"
#include "config/snapshot/random_config.h"
#include "weir/config.h"

// After Boost.JSON, whose adapter it is.
#include <valijson/adapters/boost_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

namespace weir::config {
namespace {

// A number that is whole is an integer to JSON Schema, however it is written: 100.0, 1e3.
boost::json::value NumberOf(const std::string& text) {
  std::int64_t whole = 0;
  const auto [stop, fault] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (fault == std::errc{} && stop == text.data() + text.size()) return whole;
  const double number = std::strtod(text.c_str(), nullptr);
  if (number > -9e15 && number < 9e15) {
    whole = static_cast<std::int64_t>(number);
    if (static_cast<double>(whole) == number) return whole;
  }
  return number;
}

boost::json::value JsonOf(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return nullptr;
    case Node::Kind::kBool:
      return node.text == "true";
    case Node::Kind::kNumber:
      return NumberOf(node.text);
    case Node::Kind::kString:
    case Node::Kind::kPlain:
      return boost::json::string(node.text);
    case Node::Kind::kSequence: {
      boost::json::array array;
      for (const Node& child : node.children) array.push_back(JsonOf(child));
      return array;
    }
    case Node::Kind::kMap:
      break;
  }
  boost::json::object object;
  for (const Node& child : node.children) object[child.key] = JsonOf(child);
  return object;
}

// The schema as valijson understands it. It knows draft 7: what the schema says beyond that is the name $defs alone,
// which it finds by its pointer.
class Evaluator {
 public:
  Evaluator() : document_(boost::json::parse(ConfigJsonSchema())) {
    valijson::SchemaParser(valijson::SchemaParser::kDraft7)
        .populateSchema(valijson::adapters::BoostJsonAdapter(document_), schema_);
  }
  bool Accepts(const Node& root) {
    const boost::json::value value = JsonOf(root);
    return validator_.validate(schema_, valijson::adapters::BoostJsonAdapter(value), nullptr);
  }

 private:
  const boost::json::value document_;
  valijson::Schema schema_;
  valijson::Validator validator_;
};

std::vector<Fault> Read(const Node& root) {
  EnterpriseRateLimitConfig config;
  return ReadDocument(root, config);
}

void Collect(Node& node, std::vector<Node*>& nodes) {
  nodes.push_back(&node);
  for (Node& child : node.children) Collect(child, nodes);
}

void CollectKeys(const Node& node, std::set<std::string>& keys, std::set<std::string>& texts) {
  if (!node.key.empty()) keys.insert(node.key);
  if (node.kind == Node::Kind::kString) texts.insert(node.text);
  for (const Node& child : node.children) CollectKeys(child, keys, texts);
}

// One thing changed, as a slip of the hand or of a program might.
class Mutation {
 public:
  Mutation(RandomConfig& random, std::vector<std::string> keys, std::vector<std::string> texts)
      : random_(random), keys_(std::move(keys)), texts_(std::move(texts)) {}

  void Apply(Node& root) {
    std::vector<Node*> nodes;
    Collect(root, nodes);
    Node& node = *nodes[random_.Below(nodes.size())];
    const std::string key = node.key;
    switch (random_.Below(6)) {
      case 0:
        node = Scalar();
        break;
      case 1:
        Drop(node);
        break;
      case 2:
        Insert(node);
        break;
      case 3:
        Rename(node);
        return;
      case 4:
        node = Node(*nodes[random_.Below(nodes.size())]);
        break;
      default:
        Wrap(node);
        break;
    }
    node.key = key;
  }

 private:
  Node Scalar() {
    constexpr std::string_view kNumbers[] = {
        "0",    "1",     "-1",  "1.5", "1e3",       "100.0", "9007199254740992", "9007199254740994",
        "1e40", "1e400", "0.5", "-0",  "315360001", "65"};
    switch (random_.Below(4)) {
      case 0:
        return Node::Null();
      case 1:
        return Node::Bool(random_.Flip());
      case 2:
        return Node::Number(std::string(kNumbers[random_.Below(std::size(kNumbers))]));
      default:
        return Node::String(texts_[random_.Below(texts_.size())]);
    }
  }
  void Drop(Node& node) {
    if (node.children.empty()) return;
    node.children.erase(node.children.begin() + static_cast<std::ptrdiff_t>(random_.Below(node.children.size())));
  }
  void Insert(Node& node) {
    Node child = Scalar();
    if (node.kind == Node::Kind::kMap) {
      const std::string& key = keys_[random_.Below(keys_.size())];
      if (node.Find(key) == nullptr) node.Add(key, std::move(child));
    } else if (node.kind == Node::Kind::kSequence) {
      node.Add(std::move(child));
    }
  }
  void Rename(Node& node) {
    if (node.kind != Node::Kind::kMap || node.children.empty()) return;
    const std::string& key = keys_[random_.Below(keys_.size())];
    if (node.Find(key) == nullptr) node.children[random_.Below(node.children.size())].key = key;
  }
  void Wrap(Node& node) {
    Node inner = node;
    inner.key.clear();
    node = random_.Flip() ? Node::Sequence() : Node::Map();
    node.Add(keys_[random_.Below(keys_.size())], std::move(inner));
    if (node.kind == Node::Kind::kSequence) node.children[0].key.clear();
  }

  RandomConfig& random_;
  std::vector<std::string> keys_;
  std::vector<std::string> texts_;
};

TEST(JsonSchema, IsADraft202012Document) {
  const Node schema = ParseJsonTree(ConfigJsonSchema()).root;
  EXPECT_EQ(schema.Find("$schema")->text, "https://json-schema.org/draft/2020-12/schema");
  EXPECT_EQ(schema.Find("$ref")->text, "#/$defs/document");
  std::set<std::string> names;
  for (const Node& definition : schema.Find("$defs")->children) {
    EXPECT_TRUE(names.insert(definition.key).second) << definition.key << " is defined twice";
    EXPECT_NE(definition.Find("description"), nullptr) << definition.key;
  }
  EXPECT_TRUE(names.contains("rule"));
  EXPECT_TRUE(names.contains("identifier"));
}

// A validator passes over keywords that it does not know, and over those beside a $ref (draft 7): there are none that
// would matter.
TEST(JsonSchema, UsesOnlyWhatTheValidatorChecks) {
  const std::set<std::string> annotations = {"$schema", "$defs", "title", "description", "default", "writeOnly"};
  const std::set<std::string> checked = {"$ref",
                                         "type",
                                         "enum",
                                         "anyOf",
                                         "allOf",
                                         "not",
                                         "required",
                                         "properties",
                                         "additionalProperties",
                                         "propertyNames",
                                         "minProperties",
                                         "maxProperties",
                                         "items",
                                         "minItems",
                                         "pattern",
                                         "minimum",
                                         "exclusiveMinimum",
                                         "maximum"};
  std::size_t schemas = 0;
  const auto look = [&](const auto& self, const Node& schema) -> void {
    ++schemas;
    const bool reference = schema.Find("$ref") != nullptr;
    for (const Node& keyword : schema.children) {
      const std::string& name = keyword.key;
      if (annotations.contains(name)) {
        if (name == "$defs") {
          for (const Node& one : keyword.children) self(self, one);
        }
        continue;
      }
      EXPECT_TRUE(checked.contains(name)) << name;
      EXPECT_TRUE(!reference || name == "$ref") << name << " beside a $ref";
      if (name == "properties" || name == "anyOf" || name == "allOf") {
        for (const Node& one : keyword.children) self(self, one);
      } else if (keyword.kind == Node::Kind::kMap) {
        self(self, keyword);
      }
    }
  };
  look(look, ParseJsonTree(ConfigJsonSchema()).root);
  EXPECT_GT(schemas, 300U);
}

TEST(JsonSchema, AcceptsWhatIsWritten) {
  Evaluator schema;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const Node root = WriteDocument(RandomConfig(seed).Document());
    ASSERT_TRUE(Read(root).empty()) << "seed " << seed;
    ASSERT_TRUE(schema.Accepts(root)) << "seed " << seed << "\n" << EmitJson(root);
  }
}

TEST(JsonSchema, AgreesWithTheReaderOnMutations) {
  Evaluator schema;
  std::set<std::string> keys = {"",       "zzz",   "Custom", "custom",   "TokenBucket", "token_bucket",
                                "Memory", "Redis", "redis",  "composite"};
  std::set<std::string> texts = {"",          "x",     "unlimited",  "Strict", "detailed",  "TokenBucket",
                                 "composite", "redis", "Hybrid",     "minute", "TenSecond", "24:00",
                                 "DE",        "GET",   "10.0.0.0/8", "\n",     "off",       "mon"};
  const Node defs = ParseJsonTree(ConfigJsonSchema()).root;
  for (std::uint64_t seed = 0; seed < 40; ++seed)
    CollectKeys(WriteDocument(RandomConfig(seed).Document()), keys, texts);

  std::size_t refused = 0;
  std::size_t accepted = 0;
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    RandomConfig random(seed);
    Node root = WriteDocument(random.Document());
    Mutation mutation(random, {keys.begin(), keys.end()}, {texts.begin(), texts.end()});
    for (std::uint64_t i = random.Below(3) + 1; i > 0; --i) mutation.Apply(root);
    const std::vector<Fault> faults = Read(root);
    ++(faults.empty() ? accepted : refused);
    ASSERT_EQ(schema.Accepts(root), faults.empty())
        << "seed " << seed << (faults.empty() ? std::string() : "\n" + Describe(faults.front())) << "\n"
        << EmitJson(root);
  }
  // The mutations are neither all harmless nor all fatal.
  EXPECT_GT(refused, 700U);
  EXPECT_GT(accepted, 130U);
}

TEST(JsonSchema, AgreesOnEverySpellingOfTheChoices) {
  Evaluator schema;
  const auto agree = [&](std::string_view json) {
    const ParsedTree tree = ParseJsonTree(json);
    ASSERT_TRUE(tree.faults.empty());
    EXPECT_EQ(schema.Accepts(tree.root), Read(tree.root).empty()) << json;
  };
  for (const std::string_view algorithm :
       {R"("TokenBucket")", R"("token_bucket")", R"({"TokenBucket": null})", R"({"Tokenbucket": {}})", R"({})",
        R"(null)", R"("composite")", R"({"SlidingWindow": {"precision": {"Custom": 30}}})",
        R"({"SlidingWindow": {"precision": {"Custom": 0}}})", R"({"SlidingWindow": {"precision": "TenSecond"}})",
        R"({"SlidingWindow": {"precision": "10"}})", R"({"token_bucket": {}, "leaky_bucket": {}})"}) {
    agree(R"({"algorithm": )" + std::string(algorithm) + "}");
  }
  for (const std::string_view storage :
       {R"("memory")", R"("Redis")", R"("hybrid")", R"({"Memory": {}, "memory": {}})", R"({"redis": null})",
        R"({"Hybrid": {}})", R"({"redis": {}, "instances": 3})", R"({"memory": {}, "Redis": {}})"}) {
    agree(R"({"storage": )" + std::string(storage) + "}");
  }
  for (const std::string_view http :
       {R"("off")", R"({"address": "off"})", R"({"tls": null})", R"({"tls": {}})", R"("")", R"(5)", R"(null)"}) {
    agree(R"({"server": {"http": )" + std::string(http) + "}}");
  }
  for (const std::string_view rule :
       {R"("unlimited")", R"("Unlimited")", R"("UNLIMITED")", R"({"headers": "UploadOptimized"})",
        R"({"max_requests": 100.0})", R"({"max_requests": 1e3})", R"({"max_requests": 0.1})"}) {
    agree(R"({"global": {"free_tier": )" + std::string(rule) + "}}");
  }
}

}  // namespace
}  // namespace weir::config
