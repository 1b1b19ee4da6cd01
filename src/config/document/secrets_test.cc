// What is secret, or stands where a secret may stand, is in no fault: whatever form it has there.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "config/document/document.h"
#include "config/document/reader.h"
#include "weir/config.h"

namespace weir::config {
namespace {

constexpr std::string_view kSecret = "hunter2plant";

// The paths of the schema, as keys from the document's root, whose field is `writeOnly`, or above one that is.
class SecretPlaces {
 public:
  SecretPlaces() : schema_(ParseJsonTree(ConfigJsonSchema()).root) { Walk(schema_, {}, 0); }
  std::vector<std::vector<std::string>> fields, above;

 private:
  // Whether something at or below this schema is secret.
  bool Walk(const Node& schema, const std::vector<std::string>& path, int depth) {
    if (depth > 12) return false;
    if (schema.Find("writeOnly") != nullptr) {
      fields.push_back(path);
      return true;
    }
    bool secret = false;
    if (const Node* reference = schema.Find("$ref")) {
      const std::string name = reference->text.substr(std::string_view("#/$defs/").size());
      // What stands for rules is everywhere, is defined in terms of itself, and holds none.
      if (name == "rule" || name == "identifier" || name == "descriptor") return false;
      secret |= Walk(*schema_.Find("$defs")->Find(name), path, depth + 1);
    }
    for (const char* choices : {"anyOf"}) {
      if (const Node* list = schema.Find(choices)) {
        for (const Node& one : list->children) secret |= Walk(one, path, depth + 1);
      }
    }
    if (const Node* items = schema.Find("items")) secret |= Walk(*items, path, depth + 1);
    if (const Node* properties = schema.Find("properties")) {
      for (const Node& one : properties->children) {
        std::vector<std::string> below = path;
        below.push_back(one.key);
        secret |= Walk(one, below, depth + 1);
      }
    }
    if (secret && !path.empty()) above.push_back(path);
    return secret;
  }
  const Node schema_;
};

// A document in which the value at `path` is `value`, in YAML's flow form.
std::string Document(const std::vector<std::string>& path, const std::string& value) {
  std::string text = value;
  for (auto key = path.rbegin(); key != path.rend(); ++key) text = "{" + *key + ": " + text + "}";
  return text.substr(1, text.size() - 2) + "\n";
}

void ExpectNotTold(const std::string& document) {
  for (const std::string& text : {document, "global: {free_tier: strict}\n" + document}) {
    for (const Fault& fault : ParseConfig(text).faults) {
      EXPECT_EQ(Describe(fault).find(kSecret), std::string::npos) << text << "\n" << Describe(fault);
    }
  }
}

TEST(Secrets, TheSchemaNamesThem) {
  const SecretPlaces places;
  const auto has = [&](const std::vector<std::string>& path) {
    return std::ranges::find(places.fields, path) != places.fields.end();
  };
  EXPECT_TRUE(has({"storage", "redis", "url"}));
  EXPECT_TRUE(has({"server", "resp_password"}));
  EXPECT_TRUE(has({"jwt", "hs256_secret"}));
  EXPECT_TRUE(has({"jwt", "rs256_public_key_pem"}));
  EXPECT_TRUE(has({"exemptions", "api_keys"}));
}

TEST(Secrets, AreInNoFaultWhateverFormTheyHave) {
  const std::string secret(kSecret);
  const SecretPlaces places;
  std::vector<std::vector<std::string>> paths = places.fields;
  paths.insert(paths.end(), places.above.begin(), places.above.end());
  ASSERT_GT(paths.size(), 8U);
  for (const std::vector<std::string>& path : paths) {
    for (const std::string& value : {secret,
                                     '"' + secret + '"',
                                     '[' + secret + ']',
                                     '{' + secret + ": x}",
                                     "{x: " + secret + '}',
                                     '{' + secret + '}',
                                     '!' + secret,
                                     "!!" + secret + " x",
                                     '!' + secret + " x",
                                     '*' + secret,
                                     "\"" + secret + "\\0\"",
                                     "\"\\q" + secret + '"',
                                     "redis://u:" + secret + "@h",
                                     "http://u:" + secret + "@h/x@y",
                                     "redis://u:" + secret + "@h:x",
                                     "redis://h?" + secret + "=1",
                                     "{url: http://u:" + secret + "@h}",
                                     "[[" + secret + "]]",
                                     '%' + secret,
                                     '@' + secret,
                                     '`' + secret,
                                     "[" + secret,
                                     "{a: " + secret,
                                     "'" + secret}) {
      ExpectNotTold(Document(path, value));
    }
  }
  for (const char* whole :
       {"jwt: hunter2plant\n", "jwt:\n  hunter2plant\n", "jwt:\n- hunter2plant\n", "api_keys: hunter2plant\n",
        "exemptions: {api_keys: hunter2plant}\n", "storage: redis://u:hunter2plant@h\n",
        "storage: {memory: redis://u:hunter2plant@h}\n", "server: {resp_password: !hunter2plant x}\n",
        "storage: {redis: {url: redis://u:hunter2plant@h, url: 1}}\n", "redis://u:hunter2plant@h\n", "- hunter2plant\n",
        "jwt: {hs256_secret hunter2plant}\n", "storage: {redis: {key_prefix: \"redis://u:hunter2plant@h\\n\"}}\n",
        "server: {http: redis://u:hunter2plant@h}\n"}) {
    ExpectNotTold(whole);
  }
  for (const char* json : {R"({"jwt": "hunter2plant"})", R"({"jwt": {"hs256_secret": {"hunter2plant": 1}}})",
                           R"({"jwt": {"hs256_secret": hunter2plant}})", R"({"jwt": {"hunter2plant": 1}})",
                           R"({"storage": {"redis": ["hunter2plant"]}})"}) {
    ExpectNotTold(json);
  }
}

TEST(Secrets, NumbersAreOnesToo) {
  for (const char* path :
       {"jwt: {hs256_secret: 31415926}", "server: {resp_password: 31415926}", "jwt: 31415926",
        "exemptions: {api_keys: 31415926}", "exemptions: {api_keys: [31415926]}", "storage: 31415926"}) {
    for (const Fault& fault : ParseConfig(std::string(path) + "\n").faults) {
      EXPECT_EQ(Describe(fault).find("31415926"), std::string::npos) << Describe(fault);
    }
    const std::string as_json = "{\"" + std::string(path).replace(std::string(path).find(':'), 1, "\":") + "}";
    for (const Fault& fault : ParseConfig(as_json).faults) {
      EXPECT_EQ(Describe(fault).find("31415926"), std::string::npos) << Describe(fault);
    }
  }
}

// API keys are the keys of a map.
TEST(Secrets, KeysOfAMapAreOnesToo) {
  const std::string base = "global: {free_tier: {max_requests: 1, window_seconds: 60}}\n";
  for (const std::string& keys :
       {"hunter2plant: {pln: pro}", "hunter2plant: {plan: nosuch}", "hunter2plant: {tenant: nosuch}", "hunter2plant: 1",
        "hunter2plant: {quotas: [{max_requests: -1}]}", "hunter2plant: {quotas: [{max_requests: 1, time_zone: No}]}",
        "hunter2plant: {}, hunter2plant: {}", "'hunter2plant\t': {plan: [x]}", "\"hunter2plant\\0\": {}",
        "'sha256:hunter2plant': {}", "hunter2plant: {scopes: {a: b}}", "hunter2plant", "'': {plan: hunter2plant!}"}) {
    for (const std::string& text : {base + "api_keys: {" + keys + "}\n", base + "api_keys: [{" + keys + "}]\n"}) {
      const ParsedConfig parsed = ParseConfig(text);
      for (const Fault& fault : parsed.faults) {
        // What is no key is shown.
        if (fault.path.ends_with(".plan")) continue;
        EXPECT_EQ(Describe(fault).find(kSecret), std::string::npos) << text << "\n" << Describe(fault);
      }
    }
  }
  const auto told = [&](const std::string& keys) {
    const ParsedConfig parsed = ParseConfig(base + "api_keys:\n" + keys);
    return parsed.faults.empty() ? "" : Describe(parsed.faults[0], "f");
  };
  EXPECT_EQ(told("  hunter2plant: {plan: prp}\n"),
            "f:3:24: api_keys.(key).plan: there is no tier 'prp' (did you mean 'pro'?)");
  EXPECT_EQ(told("  sha256:0123: {}\n"),
            "f:3:3: api_keys.(key): is no digest of a key (write sha256: and 64 hex digits, or their first 32)");
  EXPECT_EQ(told("  abc: {}\n  sha256:ba7816bf8f01cfea414140de5dae2223: {}\n"),
            "f:4:3: api_keys.(key): is written twice: as a key, or as its digest (keep one of them)");
}

TEST(Secrets, WhatIsNearAFieldIsStillShown) {
  const auto fault = [](const std::string& text) {
    const ParsedConfig parsed = ParseConfig("global: {free_tier: strict}\n" + text);
    return parsed.faults.empty() ? "" : Describe(parsed.faults[0]);
  };
  EXPECT_EQ(fault("jwt: {hs256_secrets: x}\n"),
            "line 2: jwt: unknown field 'hs256_secrets' (did you mean 'hs256_secret'?)");
  EXPECT_EQ(fault("storage: memry\n"),
            "line 2: storage: must be a mapping, or one of memory, redis, postgres, hybrid, not 'memry' (did you mean "
            "'memory'?)");
  EXPECT_EQ(fault("jwt: {secret: x}\n").substr(0, 65),
            "line 2: jwt: unknown field (not shown: a secret may stand here) (");
}

TEST(Quoted, AddressesLoseTheirCredentials) {
  EXPECT_EQ(Quoted("redis://u:p@h/1"), "'redis://***@h/1'");
  EXPECT_EQ(Quoted("x redis://u:p@ss/w@h"), "'x redis://***@h'");
  EXPECT_EQ(Quoted("a@b"), "'a@b'");
  EXPECT_EQ(Quoted("http://h/x"), "'http://h/x'");
  EXPECT_EQ(Quoted("http://u:" + std::string(200, 'p') + "@h"), "'http://***@h'");
}

}  // namespace
}  // namespace weir::config
