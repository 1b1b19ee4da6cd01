// Documents from disk, with the files that they name.
#include "config/source/load.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "config/snapshot/snapshot.h"

namespace weir::config {
namespace {

constexpr const char* kBase = "global: {free_tier: unlimited}\n";

class LoadTest : public testing::Test {
 protected:
  LoadTest() {
    std::string name = (std::filesystem::temp_directory_path() / "weir-load-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  ~LoadTest() override { std::filesystem::remove_all(directory_); }
  std::string Write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((directory_ / name).parent_path());
    std::ofstream(directory_ / name) << text;
    return (directory_ / name).string();
  }
  static std::string Domain(const std::string& name) {
    return "domain: " + name + "\ndescriptors: [{key: k, rate_limit: {unit: minute, requests_per_unit: 5}}]\n";
  }
  std::filesystem::path directory_;
};

TEST_F(LoadTest, FilesAndDirectoriesBecomeDomains) {
  Write("one.yaml", Domain("one"));
  Write("more/b.yaml", Domain("b"));
  Write("more/a.yml", Domain("a"));
  Write("more/basic", Domain("basic"));
  Write("more/.hidden.yaml", "not: [yaml");
  Write("more/below/c.yaml", Domain("below"));
  const std::string file =
      Write("weir.yaml", std::string(kBase) + "domains: {own: {}}\nenvoy: {files: [one.yaml, more]}\n");
  const auto config = LoadConfigFile(file);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  std::vector<std::string> names;
  for (const auto& [name, domain] : config->domains) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b", "basic", "below", "one", "own"}));
  EXPECT_TRUE(config->envoy.files.empty());
  const auto snapshot = Snapshot::Compile(*config, nullptr, 0);
  ASSERT_TRUE(snapshot.has_value()) << snapshot.error().message;
  const std::vector<Attribute> entries = {{"k", "v"}};
  ASSERT_NE((*snapshot)->FindDomain("b")->Find(entries), nullptr);
  EXPECT_EQ((*snapshot)->FindDomain("b")->Find(entries)->limit.capacity, 5U);
}

TEST_F(LoadTest, EveryFaultOfEveryFileIsTold) {
  const std::string bad = Write("bad.yaml", "domain: d\ndescriptors:\n  - {key: k, rate_limit: {unit: x}}\n");
  const std::string same = Write("same.yaml", Domain("own"));
  const std::string file = Write("weir.yaml", std::string(kBase) +
                                                  "serve: {}\ndomains: {own: {}}\n"
                                                  "envoy: {files: [bad.yaml, same.yaml, none.yaml]}\n");
  std::filesystem::create_directory(directory_ / "empty");
  const auto config = LoadConfigFile(file);
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error().code, ErrorCode::kInvalidArgument);
  const std::string& why = config.error().message;
  for (const std::string& part :
       {file + ":2:1: unknown field 'serve'", bad + ":3:33: descriptors.0.rate_limit: invalid rate limit unit 'x'",
        "there is no file '" + (directory_ / "none.yaml").string() + "'",
        std::string("the domain 'own' is in `domains` and in a file of `envoy.files`")}) {
    EXPECT_NE(why.find(part), std::string::npos) << part << "\nin: " << why;
  }
  LoadedDocument loaded = LoadDocument(kBase, file, {(directory_ / "empty").string()});
  ASSERT_EQ(loaded.faults.size(), 1U);
  EXPECT_EQ(Describe(loaded.faults[0]), (directory_ / "empty").string() + ": the directory has no file");
}

TEST_F(LoadTest, ADomainOfSeveralFilesIsMergedWhereTheDocumentSaysSo) {
  Write("all/a.yaml", Domain("d"));
  Write("all/b.yaml", "domain: d\ndescriptors: [{key: j, rate_limit: {unit: minute, requests_per_unit: 6}}]\n");
  const auto load = [&](const std::string& merge) {
    return LoadConfigFile(Write("weir.yaml", std::string(kBase) + "envoy: {files: [all]" + merge + "}\n"));
  };
  EXPECT_FALSE(load("").has_value());
  const auto config = load(", merge_domains: true");
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->domains.at("d").descriptors.size(), 2U);
}

// As goruntime walks them: by path with '.' for '/', without what is hidden, and not through links to directories.
TEST_F(LoadTest, DirectoriesBelowAreLoadedToo) {
  Write("all/a.yaml", Domain("last"));
  Write("all/a/b.yaml", Domain("first"));
  Write("all/a/deep/er/c.yaml", Domain("deep"));
  Write("all/.git/d.yaml", "no yaml: [");
  Write("elsewhere/e.yaml", Domain("elsewhere"));
  std::filesystem::create_directory_symlink("../elsewhere", directory_ / "all" / "link");
  std::vector<FileFault> faults;
  std::vector<std::string> files;
  for (const SourceText& one : ReadEnvoyFiles({(directory_ / "all").string()}, faults)) {
    files.push_back(std::filesystem::relative(one.file, directory_ / "all").string());
  }
  EXPECT_TRUE(faults.empty());
  EXPECT_EQ(files, (std::vector<std::string>{"a/b.yaml", "a/deep/er/c.yaml", "a.yaml"}));
}

TEST_F(LoadTest, WhatItNamesIsToldForAWatch) {
  Write("one.yaml", Domain("one"));
  const std::string file = (directory_ / "weir.yaml").string();
  const LoadedDocument loaded =
      LoadDocument(std::string(kBase) + "envoy: {files: [one.yaml, /nowhere/two.yaml]}\n", file, {"three.yaml"});
  EXPECT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.files,
            (std::vector<std::string>{(directory_ / "one.yaml").string(), "/nowhere/two.yaml", "three.yaml"}));
}

TEST_F(LoadTest, OnlySuchFiles) {
  const std::string one = Write("one.yaml", Domain("one"));
  const LoadedDocument loaded = LoadDocument(ToYaml(EnvoyOnlyDocument()), "", {one});
  for (const FileFault& fault : loaded.faults) {
    EXPECT_EQ(fault.fault.severity, Severity::kWarning) << Describe(fault);
  }
  EXPECT_TRUE(loaded.config.domains.contains("one"));
  EXPECT_EQ(loaded.config.global.free_tier, RateLimitRule::Unlimited());
}

TEST_F(LoadTest, TheErrorTellsErrorsOnly) {
  const LoadedDocument loaded = LoadDocument("global: {free_tier: unlimited}\nendpoints: []\n", "weir.yaml");
  ASSERT_GT(loaded.faults.size(), 1U);
  const std::string message = loaded.ToError().message;
  EXPECT_NE(message.find("weir.yaml:2:1: endpoints"), std::string::npos) << message;
  EXPECT_EQ(message.find("warning"), std::string::npos) << message;
}

TEST(LineWith, IsTheLineOfTheFirst) {
  EXPECT_EQ(LineWith("one\ntwo\nthree two", "two"), 2U);
  EXPECT_EQ(LineWith("one", "one"), 1U);
  EXPECT_EQ(LineWith("one", "four"), 0U);
}

TEST_F(LoadTest, FilesThatWereNotLoadedAreNotPassedOver) {
  const ParsedConfig parsed = ParseConfig(std::string(kBase) + "envoy: {files: [one.yaml]}\n");
  ASSERT_TRUE(parsed.ok());
  const auto snapshot = Snapshot::Compile(parsed.config, nullptr, 0);
  ASSERT_FALSE(snapshot.has_value());
  EXPECT_EQ(snapshot.error().message, "envoy.files: was not loaded (LoadConfigFile loads what it names)");
}

}  // namespace
}  // namespace weir::config
