#include "storage/memory/snapshot_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/manual_clock.h"
#include "storage/memory/persistence.h"
#include "tests/conformance/plans.h"

namespace weir::storage::memory {
namespace {

using conformance::BucketOf;
using conformance::Do;
using conformance::ItemOf;
using conformance::LogOf;
using conformance::SlotsOf;
using conformance::UsedNow;
using conformance::WindowOf;

constexpr Nanos kNow = 1'800'000'000 * kSecond;

class BytesSource final : public SnapshotSource {
 public:
  explicit BytesSource(const std::string& bytes) : bytes_(bytes) {}
  Result<std::size_t> Read(void* data, std::size_t size) override {
    const std::size_t got = bytes_.copy(static_cast<char*>(data), size, at_);
    at_ += got;
    return got;
  }
  Result<> Rewind() override {
    at_ = 0;
    return {};
  }

 private:
  const std::string& bytes_;
  std::size_t at_ = 0;
};

Result<SnapshotReport> LoadBytes(MemoryStore& store, const std::string& bytes) {
  BytesSource source(bytes);
  return LoadSnapshot(store, source, kNow);
}

class SnapshotFile : public testing::Test {
 protected:
  SnapshotFile() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-snapshot-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    path_ = (directory_ / "states").string();
  }
  ~SnapshotFile() override { std::filesystem::remove_all(directory_); }

  static std::unique_ptr<MemoryStore> Make(std::uint64_t max_entries = 1000) {
    return std::move(MemoryStore::Create({.max_entries = max_entries})).value();
  }
  std::string Bytes() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  void SetBytes(const std::string& bytes) const { std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes; }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) names.push_back(entry.path().filename());
    return names;
  }

  // Some states of each shape.
  void Use(MemoryStore& store, int subjects) const {
    for (int i = 0; i < subjects; ++i) {
      const std::string subject = "s" + std::to_string(i);
      const auto cost = static_cast<std::uint64_t>(1 + i % 5);
      for (const Limit* limit : {&bucket_, &window_, &log_, &slots_}) {
        (void)Do(store, Op::kCheck, {ItemOf(*limit, algorithms::Of(limit->kind).name, subject, cost)}, kNow);
      }
    }
  }
  void ExpectUsed(MemoryStore& store, int subjects) const {
    for (int i = 0; i < subjects; ++i) {
      const std::string subject = "s" + std::to_string(i);
      for (const Limit* limit : {&bucket_, &window_, &log_, &slots_}) {
        const Item item = ItemOf(*limit, algorithms::Of(limit->kind).name, subject);
        EXPECT_EQ(UsedNow(store, item, kNow), static_cast<std::uint64_t>(1 + i % 5)) << item.rule << " " << subject;
      }
    }
  }

  std::filesystem::path directory_;
  std::string path_;
  const Limit bucket_ = BucketOf(100), window_ = WindowOf(100), log_ = LogOf(100), slots_ = SlotsOf(100);
};

// A state may be written while it is charged, and so twice, with one end and two counts.
TEST_F(SnapshotFile, OfAWindowThatWasWrittenTwiceTheLargerCountStays) {
  const Item few = ItemOf(window_, "window", "a", 3), many = ItemOf(window_, "window", "a", 5);
  std::string bytes[2];
  for (int i = 0; i < 2; ++i) {
    const auto store = Make();
    (void)Do(*store, Op::kCheck, {i == 0 ? few : many}, kNow);
    ASSERT_TRUE(SaveSnapshot(*store, path_, kNow));
    bytes[i] = Bytes();
  }
  for (const int first : {0, 1}) {
    const auto store = Make();
    ASSERT_TRUE(LoadBytes(*store, bytes[first]));
    ASSERT_TRUE(LoadBytes(*store, bytes[1 - first]));
    EXPECT_EQ(UsedNow(*store, few, kNow), 5u);
  }
}

TEST_F(SnapshotFile, GivesBackWhatWasUsed) {
  const auto before = Make();
  Use(*before, 300);
  const Result<SnapshotReport> saved = SaveSnapshot(*before, path_, kNow);
  ASSERT_TRUE(saved) << saved.error().message;
  EXPECT_EQ(saved->words, 300u);
  EXPECT_EQ(saved->lists, 900u);
  EXPECT_EQ(saved->bytes, std::filesystem::file_size(path_));
  EXPECT_EQ(Files(), std::vector<std::string>{"states"});

  // Another size, another placement.
  const auto after = Make(5000);
  const Result<SnapshotReport> loaded = LoadSnapshot(*after, path_, kNow);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->words, 300u);
  EXPECT_EQ(loaded->lists, 900u);
  EXPECT_EQ(loaded->dropped + loaded->expired, 0u);
  EXPECT_EQ(loaded->created_at, kNow);
  EXPECT_EQ(after->Stats().entries, 1200u);
  ExpectUsed(*after, 300);
}

TEST_F(SnapshotFile, KeepsLongLogsWhole) {
  const auto before = Make();
  const Limit log = LogOf(40'000, kHour);
  const Item item = ItemOf(log, "log", "s");
  for (int i = 0; i < 40'000; ++i) (void)Do(*before, Op::kCheck, {item}, kNow + i);
  ASSERT_TRUE(SaveSnapshot(*before, path_, kNow + 40'000));
  const auto after = Make();
  ASSERT_TRUE(LoadSnapshot(*after, path_, kNow + 40'000));
  EXPECT_EQ(UsedNow(*after, item, kNow + 40'000), 40'000u);
}

TEST_F(SnapshotFile, AnEmptyStoreMakesAnEmptySnapshot) {
  ASSERT_TRUE(SaveSnapshot(*Make(), path_, kNow));
  const Result<SnapshotReport> loaded = LoadSnapshot(*Make(), path_, kNow);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->words + loaded->lists, 0u);
}

TEST_F(SnapshotFile, LeavesOutWhatHasExpired) {
  const auto before = Make();
  Use(*before, 20);
  ASSERT_TRUE(SaveSnapshot(*before, path_, kNow));
  const auto after = Make();
  const Result<SnapshotReport> loaded = LoadSnapshot(*after, path_, kNow + kHour);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->expired, 80u);
  EXPECT_EQ(after->Stats().entries, 0u);
  const Result<SnapshotReport> saved = SaveSnapshot(*before, path_, kNow + kHour);
  EXPECT_EQ(saved->words + saved->lists, 0u);
}

TEST_F(SnapshotFile, OfTwoStatesOfOneSubjectTheLaterStays) {
  const auto before = Make();
  Use(*before, 10);
  ASSERT_TRUE(SaveSnapshot(*before, path_, kNow));
  const auto after = Make();
  const Item more = ItemOf(bucket_, "token_bucket", "s0", 50), less = ItemOf(bucket_, "token_bucket", "s4", 1);
  (void)Do(*after, Op::kCheck, {more}, kNow);
  (void)Do(*after, Op::kCheck, {less}, kNow);
  ASSERT_TRUE(LoadSnapshot(*after, path_, kNow));
  EXPECT_EQ(UsedNow(*after, more, kNow), 50u);
  EXPECT_EQ(UsedNow(*after, less, kNow), 5u);
}

TEST_F(SnapshotFile, ASmallerStoreTakesWhatItHasRoomForAndSaysHowManyItDropped) {
  const auto before = Make();
  Use(*before, 300);
  ASSERT_TRUE(SaveSnapshot(*before, path_, kNow));
  const auto after = Make(20);
  const Result<SnapshotReport> loaded = LoadSnapshot(*after, path_, kNow);
  ASSERT_TRUE(loaded);
  EXPECT_GT(loaded->words, 10u);
  EXPECT_EQ(loaded->lists, 20u);
  EXPECT_EQ(loaded->words + loaded->lists + loaded->dropped, 1200u);
  EXPECT_EQ(after->Stats().evicted_live, 0u);
}

TEST_F(SnapshotFile, NoFileIsNotFound) {
  EXPECT_EQ(LoadSnapshot(*Make(), path_, kNow).error().code, ErrorCode::kNotFound);
}

TEST_F(SnapshotFile, ADirectoryIsAnErrorOfTheSystem) {
  EXPECT_EQ(LoadSnapshot(*Make(), directory_.string(), kNow).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(SnapshotFile, ADamagedByteAnywhereIsFoundAndNothingIsLoaded) {
  const auto before = Make();
  Use(*before, 3);
  ASSERT_TRUE(SaveSnapshot(*before, path_, kNow));
  const std::string good = Bytes();
  ASSERT_LT(good.size(), 2000u);
  const auto after = Make();
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ flip);
      const Result<SnapshotReport> loaded = LoadBytes(*after, bad);
      ASSERT_FALSE(loaded) << "byte " << i;
      const bool version = i >= 8 && i < 12;
      EXPECT_EQ(loaded.error().code, version ? ErrorCode::kFailedPrecondition : ErrorCode::kDataLoss) << "byte " << i;
      ASSERT_EQ(after->Stats().entries, 0u) << "byte " << i;
    }
  }
}

TEST_F(SnapshotFile, AFileThatEndsAnywhereIsFoundAndNothingIsLoaded) {
  const auto before = Make();
  Use(*before, 3);
  ASSERT_TRUE(SaveSnapshot(*before, path_, kNow));
  const std::string good = Bytes();
  const auto after = Make();
  for (std::size_t size = 0; size < good.size(); ++size) {
    const Result<SnapshotReport> loaded = LoadBytes(*after, good.substr(0, size));
    ASSERT_FALSE(loaded) << "size " << size;
    EXPECT_EQ(loaded.error().code, ErrorCode::kDataLoss);
    EXPECT_NE(loaded.error().message.find("damaged at byte " + std::to_string(size)), std::string::npos)
        << loaded.error().message;
    ASSERT_EQ(after->Stats().entries, 0u);
  }
  EXPECT_EQ(LoadBytes(*after, good + "x").error().code, ErrorCode::kDataLoss);
  EXPECT_TRUE(LoadBytes(*after, good));
}

TEST_F(SnapshotFile, BlocksThatWereSwappedOrRepeatedAreFound) {
  const auto before = Make(20'000);
  for (int i = 0; i < 20'000; ++i) {
    const std::string subject = "s" + std::to_string(i);
    (void)Do(*before, Op::kCheck, {ItemOf(bucket_, "b", subject)}, kNow);
  }
  ASSERT_TRUE(SaveSnapshot(*before, path_, kNow));
  const std::string good = Bytes();
  constexpr std::size_t kHeader = 32, kBlock = 24 + (256 << 10);
  ASSERT_GT(good.size(), kHeader + kBlock);
  SetBytes(good.substr(0, kHeader) + good.substr(kHeader, kBlock) + good.substr(kHeader));
  EXPECT_EQ(LoadSnapshot(*Make(), path_, kNow).error().code, ErrorCode::kDataLoss);
  SetBytes(good.substr(0, kHeader) + good.substr(kHeader + kBlock));
  EXPECT_EQ(LoadSnapshot(*Make(), path_, kNow).error().code, ErrorCode::kDataLoss);
}

TEST_F(SnapshotFile, SaysWhatIsWrong) {
  SetBytes("GIF89a, not a snapshot at all, but long enough for a header");
  EXPECT_NE(LoadSnapshot(*Make(), path_, kNow).error().message.find("does not begin like a snapshot"),
            std::string::npos);
  ASSERT_TRUE(SaveSnapshot(*Make(), path_, kNow));
  std::string newer = Bytes();
  newer[8] = 9;
  SetBytes(newer);
  const Error error = LoadSnapshot(*Make(), path_, kNow).error();
  EXPECT_EQ(error.code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(error.message.find("format version 9"), std::string::npos) << error.message;
  EXPECT_NE(error.message.find(path_), std::string::npos);
}

// ---- writing that fails ---------------------------------------------------------------------------------------------

TEST_F(SnapshotFile, AWriteThatFailsAtAnyCallLeavesTheOldFileAndNoOther) {
  const auto old = Make();
  Use(*old, 5);
  ASSERT_TRUE(SaveSnapshot(*old, path_, kNow));
  const auto store = Make();
  Use(*store, 50);
  bool reached_the_end = false;
  for (int fail_at = 0; !reached_the_end; ++fail_at) {
    ASSERT_LT(fail_at, 100);
    int call = 0;
    const auto due = [&](int error) {
      if (call++ != fail_at) return false;
      errno = error;
      return true;
    };
    FileCalls calls = FileCalls::System();
    calls.write = [&](int fd, const void* data, std::size_t size) -> long {
      return due(ENOSPC) ? -1 : ::write(fd, data, size);
    };
    calls.sync = [&](int fd) { return due(EIO) ? -1 : ::fsync(fd); };
    calls.rename = [&](const char* from, const char* to) { return due(EACCES) ? -1 : std::rename(from, to); };
    const Result<SnapshotReport> saved = SaveSnapshot(*store, path_, kNow, calls);
    if (saved) {
      reached_the_end = true;
      continue;
    }
    EXPECT_EQ(saved.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(Files(), std::vector<std::string>{"states"});
    const auto after = Make();
    ASSERT_TRUE(LoadSnapshot(*after, path_, kNow));
    EXPECT_EQ(after->Stats().entries, 20u);
  }
  const auto after = Make();
  ASSERT_TRUE(LoadSnapshot(*after, path_, kNow));
  ExpectUsed(*after, 50);
}

TEST_F(SnapshotFile, ShortAndInterruptedWritesAreContinued) {
  const auto store = Make();
  Use(*store, 20);
  FileCalls calls = FileCalls::System();
  int call = 0;
  calls.write = [&](int fd, const void* data, std::size_t size) -> long {
    if (++call % 3 == 0) {
      errno = EINTR;
      return -1;
    }
    return ::write(fd, data, std::min<std::size_t>(size, 7));
  };
  ASSERT_TRUE(SaveSnapshot(*store, path_, kNow, calls));
  const auto after = Make();
  ASSERT_TRUE(LoadSnapshot(*after, path_, kNow));
  ExpectUsed(*after, 20);
}

TEST_F(SnapshotFile, ADiskThatTakesNothingMoreIsAnErrorNotALoop) {
  FileCalls calls = FileCalls::System();
  calls.write = [](int, const void*, std::size_t) -> long { return 0; };
  const Result<SnapshotReport> saved = SaveSnapshot(*Make(), path_, kNow, calls);
  ASSERT_FALSE(saved);
  EXPECT_NE(saved.error().message.find("No space left"), std::string::npos) << saved.error().message;
}

TEST_F(SnapshotFile, ADirectoryThatIsNotThereIsAnError) {
  EXPECT_EQ(SaveSnapshot(*Make(), path_ + "/no/such", kNow).error().code, ErrorCode::kUnavailable);
}

TEST_F(SnapshotFile, IsNobodyElsesToRead) {
  ASSERT_TRUE(SaveSnapshot(*Make(), path_, kNow));
  EXPECT_EQ(std::filesystem::status(path_).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

// Snapshots of a store in use: what was used before the writing began is all there.
TEST_F(SnapshotFile, IsWrittenWhileDecisionsGoOn) {
  const auto store = Make(20'000);
  Use(*store, 200);
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> decisions = 0;
  std::thread busy([&] {
    const Limit brief = WindowOf(10, kMillisecond);
    for (int i = 0; !stop; ++i) {
      const std::string subject = "busy" + std::to_string(i % 3000);
      (void)Do(*store, Op::kCheck, {ItemOf(bucket_, "busy", subject), ItemOf(brief, "busy-window", subject)},
               kNow + i * kMicrosecond);
      ++decisions;
    }
  });
  for (int i = 0; i < 20; ++i) {
    const std::uint64_t seen = decisions;
    ASSERT_TRUE(SaveSnapshot(*store, path_, kNow));
    const auto after = Make(20'000);
    ASSERT_TRUE(LoadSnapshot(*after, path_, kNow));
    ExpectUsed(*after, 200);
    while (decisions == seen) std::this_thread::yield();
  }
  stop = true;
  busy.join();
}

// ---- keeping it up to date ------------------------------------------------------------------------------------------

TEST_F(SnapshotFile, PersistenceSavesAtTheIntervalAndOnceMoreAtTheEnd) {
  const ManualClock clock(kNow);
  const auto store = Make();
  Use(*store, 3);
  auto persistence = Persistence::Start(*store, {.path = path_, .interval = kMillisecond, .clock = &clock});
  ASSERT_TRUE(persistence);
  (*persistence)->WaitForSaves(2);
  Use(*store, 10);
  ASSERT_TRUE((*persistence)->Stop());
  ASSERT_TRUE((*persistence)->Stop()) << "a second time does nothing";
  EXPECT_GE((*persistence)->Stats().saves, 3u);
  EXPECT_EQ((*persistence)->Stats().last_saved_at, kNow);
  const auto after = Make();
  ASSERT_TRUE(RestoreSnapshot(*after, path_, kNow));
  EXPECT_EQ(after->Stats().entries, 40u);
}

TEST_F(SnapshotFile, PersistenceGoesOnAfterAFailureAndTellsOfIt) {
  const ManualClock clock(kNow);
  const auto store = Make();
  std::atomic<bool> broken = true;
  PersistenceOptions options{.path = path_, .interval = kMillisecond, .clock = &clock};
  options.calls.write = [&](int fd, const void* data, std::size_t size) -> long {
    if (!broken) return ::write(fd, data, size);
    errno = ENOSPC;
    return -1;
  };
  auto persistence = Persistence::Start(*store, options);
  ASSERT_TRUE(persistence);
  (*persistence)->WaitForSaves(2);
  EXPECT_GE((*persistence)->Stats().failures, 2u);
  EXPECT_NE((*persistence)->Stats().last_error.find("No space left"), std::string::npos);
  broken = false;
  EXPECT_TRUE((*persistence)->SaveNow());
  EXPECT_TRUE((*persistence)->Stats().last_error.empty());
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(SnapshotFile, PersistenceRefusesImpossibleOptions) {
  const auto store = Make();
  EXPECT_EQ(Persistence::Start(*store, {.path = ""}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(Persistence::Start(*store, {.path = path_, .interval = 0}).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(SnapshotFile, RestoreSetsADamagedFileAsideAndStartsWithWhatThereIs) {
  EXPECT_TRUE(RestoreSnapshot(*Make(), path_, kNow)) << "a first start";
  SetBytes("rubbish");
  const auto store = Make();
  const Result<SnapshotReport> restored = RestoreSnapshot(*store, path_, kNow);
  ASSERT_FALSE(restored);
  EXPECT_NE(restored.error().message.find(path_ + ".damaged"), std::string::npos) << restored.error().message;
  EXPECT_EQ(Files(), std::vector<std::string>{"states.damaged"});
  EXPECT_TRUE(Do(*store, Op::kCheck, {ItemOf(bucket_, "b", "s")}, kNow).admitted);
}

// As when a state moves while the shards are written: the later copy has counted more.
TEST_F(SnapshotFile, OfAWindowThatIsWrittenTwiceTheLargerCountIsRestored) {
  const Limit window = WindowOf(10);
  const Item item = ItemOf(window, "window", "a");
  std::string files[2];
  for (int used : {3, 7}) {
    const auto store = Make();
    for (int i = 0; i < used; ++i) (void)Do(*store, Op::kCheck, {item}, kNow);
    ASSERT_TRUE(SaveSnapshot(*store, path_, kNow));
    files[used == 7 ? 1 : 0] = Bytes();
  }
  for (const auto& [first, second] : {std::pair(0, 1), std::pair(1, 0)}) {
    const auto store = Make();
    ASSERT_TRUE(LoadBytes(*store, files[first]));
    ASSERT_TRUE(LoadBytes(*store, files[second]));
    EXPECT_EQ(UsedNow(*store, item, kNow), 7u);
  }
}

TEST_F(SnapshotFile, WhatLiesWhereTheTemporaryFileGoesIsNotFollowed) {
  const auto store = Make();
  Use(*store, 10);
  const std::string victim = (directory_ / "victim").string();
  std::ofstream(victim) << "precious";
  std::filesystem::create_symlink(victim, path_ + ".tmp");
  ASSERT_TRUE(SaveSnapshot(*store, path_, kNow));
  std::string text;
  std::ifstream(victim) >> text;
  EXPECT_EQ(text, "precious");
  ASSERT_EQ(mkfifo((path_ + ".tmp").c_str(), 0600), 0);
  ASSERT_TRUE(SaveSnapshot(*store, path_, kNow)) << "a pipe is not waited for";
  EXPECT_EQ(Files().size(), 2u);
}

TEST_F(SnapshotFile, AFileThatIsAPipeIsRefusedAtOnce) {
  const auto store = Make();
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  const auto loaded = LoadSnapshot(*store, path_, kNow);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(SnapshotFile, PersistenceThatCanNeverWorkIsRefusedAtStart) {
  const auto store = Make();
  std::ofstream(path_) << "";
  const std::string folder = (directory_ / "folder").string(), pipe = (directory_ / "pipe").string();
  std::filesystem::create_directory(folder);
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  for (const std::string& path : {folder, pipe, path_ + "/states", (directory_ / "none" / "states").string()}) {
    const auto started = Persistence::Start(*store, {.path = path});
    ASSERT_FALSE(started) << path;
    EXPECT_EQ(started.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(started.error().message.find(path), std::string::npos);
  }
}

}  // namespace
}  // namespace weir::storage::memory
