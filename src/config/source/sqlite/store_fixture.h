// A configuration store in a directory of its own, for tests.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/manual_clock.h"
#include "config/source/sqlite/sqlite_config_store.h"

namespace weir::config {

inline Origin OriginOf(std::string author) {
  return {.author = std::move(author), .method = "token", .reason = "why", .source = "test"};
}
inline RecordWrite PutOf(RecordId id, std::string value, std::optional<std::uint64_t> if_version = {}) {
  return {.id = std::move(id), .body = RecordBody{.value = std::move(value)}, .if_version = if_version};
}
inline RecordWrite RemovalOf(RecordId id, std::optional<std::uint64_t> if_version = {}) {
  return {.id = std::move(id), .if_version = if_version};
}
inline Draft DraftOf(std::vector<RecordWrite> writes, std::string author = "ann") {
  return {.origin = OriginOf(std::move(author)), .writes = std::move(writes)};
}

class StoreFixture : public testing::Test {
 protected:
  StoreFixture() {
    std::string name = (std::filesystem::temp_directory_path() / "weir-store-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  ~StoreFixture() override {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::string path() const { return (directory_ / "config.db").string(); }
  Result<std::unique_ptr<ConfigStore>> TryOpen() {
    return OpenSqliteConfigStore({.path = path(), .clock = &clock_, .poll_ms = 5});
  }
  std::unique_ptr<ConfigStore> Open() {
    auto store = TryOpen();
    if (!store) {
      ADD_FAILURE() << store.error().message;
      std::abort();
    }
    return std::move(*store);
  }
  ConfigStore& store() {
    if (store_ == nullptr) store_ = Open();
    return *store_;
  }
  void Close() { store_.reset(); }

  // The number of the revision.
  std::uint64_t Append(std::vector<RecordWrite> writes) { return NumberOf(store().Append(DraftOf(std::move(writes)))); }
  std::uint64_t Put(const std::string& key, const std::string& value) { return Append({PutOf({"users", key}, value)}); }
  static std::uint64_t NumberOf(const Result<Appended>& appended) {
    EXPECT_TRUE(appended.has_value()) << appended.error().message;
    return appended ? appended->revision.number : 0;
  }
  // "" when it is not there.
  std::string Value(const std::string& key) {
    const auto record = store().Get({"users", key});
    if (!record) {
      EXPECT_EQ(record.error().code, ErrorCode::kNotFound) << record.error().message;
    }
    return record ? record->body.value : "";
  }

  std::filesystem::path directory_;
  ManualClock clock_;
  std::unique_ptr<ConfigStore> store_;
};

}  // namespace weir::config
