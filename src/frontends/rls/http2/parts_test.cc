// The session's small parts, each by itself.
#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "frontends/rls/http2/abuse.h"
#include "frontends/rls/http2/block_pool.h"
#include "frontends/rls/http2/frame_scanner.h"
#include "frontends/rls/http2/inflate.h"
#include "frontends/rls/http2/session_fixture.h"

namespace weir::rls {
namespace {

TEST(FrameScanner, SeesEveryFrameHoweverTheBytesCome) {
  const std::string bytes = Frame(4, 0, 0) + Frame(0, 1, 0x7FFFFFFF, std::string(300, 'd')) +
                            Frame(2, 0, 5, std::string("\x80\0\0\x07\x10", 5)) + Frame(0x77, 0xFF, 3, "xy") +
                            Frame(2, 0, 5, "x") + Frame(6, 0, 0, "12345678");
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    FrameScanner scanner;
    std::vector<FrameScanner::Frame> frames;
    std::vector<std::size_t> starts;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      scanner.Feed(std::string_view(bytes).substr(at, piece));
      while (const auto frame = scanner.Next()) {
        frames.push_back(*frame);
        starts.push_back(at + frame->start);
      }
    }
    ASSERT_EQ(frames.size(), 6U) << piece;
    EXPECT_EQ(frames[1].length, 300U);
    EXPECT_EQ(frames[1].flags, 1U);
    EXPECT_EQ(frames[1].stream, 0x7FFFFFFF);
    EXPECT_EQ(frames[2].type, 2U);
    EXPECT_EQ(frames[2].dependency, 7);
    EXPECT_EQ(frames[3].type, 0x77U);
    EXPECT_EQ(frames[4].dependency, -1);
    EXPECT_EQ(frames[5].type, 6U);
    if (piece == bytes.size()) {
      EXPECT_EQ(starts, (std::vector<std::size_t>{0, 9, 318, 332, 343, 353}));
    }
  }
}

TEST(FrameScanner, TellsContentFromPadding) {
  const struct {
    std::uint8_t type, flags;
    std::string payload;
    std::uint32_t content;
  } cases[] = {
      {0, 0, "abc", 3},
      {0, 0, "", 0},
      {0, 8, std::string("\x02", 1) + "abc" + std::string(2, '\0'), 3},
      {0, 8, std::string("\xFF", 1) + std::string(255, '\0'), 0},
      {0, 8, std::string("\0", 1), 0},
      {0, 8, std::string("\0x", 2), 1},
      {0, 8, "", 0},                       // malformed
      {0, 8, std::string("\x09x", 2), 0},  // more padding than there is: malformed
      {1, 8, std::string("\x02", 1) + "abc", 4},
  };
  for (const auto& c : cases) {
    const std::string bytes = Frame(c.type, c.flags, 1, c.payload) + Frame(6, 0, 0, "12345678");
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
      FrameScanner scanner;
      std::vector<FrameScanner::Frame> frames;
      for (std::size_t at = 0; at < bytes.size(); at += piece) {
        scanner.Feed(std::string_view(bytes).substr(at, piece));
        while (const auto frame = scanner.Next()) frames.push_back(*frame);
      }
      ASSERT_EQ(frames.size(), 2U) << piece;
      EXPECT_EQ(frames[0].content, c.content) << c.payload.size();
      EXPECT_EQ(frames[0].length, c.payload.size());
      EXPECT_EQ(frames[1].type, 6U);
      EXPECT_TRUE(scanner.whole());
    }
  }
}

TEST(CancelWindow, CountsTheLatestThousand) {
  CancelWindow window;
  for (std::uint32_t i = 1; i <= 1'000; ++i) EXPECT_EQ(window.Cancel(window.Open()), i);
  EXPECT_EQ(window.Cancel(window.Open()), 1'000U);
  const std::uint64_t old = window.Open();
  for (int i = 0; i < 1'000; ++i) window.Open();
  EXPECT_EQ(window.Cancel(old), 0U);  // long ago
  const std::uint64_t one = window.Open();
  EXPECT_EQ(window.Cancel(one), 1U);
  EXPECT_EQ(window.Cancel(one), 1U);
}

TEST(StreamSet, RemembersTheLatest) {
  StreamSet set(3);
  EXPECT_FALSE(set.Has(1));
  for (const std::int32_t stream : {9, 1, 5, 7}) set.Add(stream);
  EXPECT_FALSE(set.Has(9));
  for (const std::int32_t stream : {1, 5, 7}) EXPECT_TRUE(set.Has(stream)) << stream;
  set.Add(11);
  EXPECT_FALSE(set.Has(1));
  EXPECT_TRUE(set.Has(11));
}

TEST(Inflate, RefusesWhatIsNotCompressed) {
  std::string out = "old";
  EXPECT_EQ(Inflate("", 100, &out), InflateResult::kBroken);
  EXPECT_EQ(Inflate("plain text", 100, &out), InflateResult::kBroken);
  EXPECT_EQ(out, "");
}

TEST(BlockPool, AllocatesLikeMalloc) {
  nghttp2_mem* const memory = PooledMemory();
  if (memory == nullptr) return;  // under a sanitizer it is malloc itself
  void* const user = memory->mem_user_data;
  std::vector<std::pair<char*, std::size_t>> blocks;
  for (int round = 0; round < 3; ++round) {
    for (std::size_t size = 1; size < 2'000; size = size * 2 - size / 3) {
      auto* const block = static_cast<char*>(memory->malloc(size, user));
      ASSERT_NE(block, nullptr);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignof(std::max_align_t), 0U);
      std::memset(block, static_cast<int>(size % 251), size);
      blocks.emplace_back(block, size);
    }
    for (auto& [block, size] : blocks) {
      // Nobody else wrote there; grown and shrunk, the beginning stays.
      EXPECT_EQ(std::count(block, block + size, static_cast<char>(size % 251)), static_cast<std::ptrdiff_t>(size));
      block = static_cast<char*>(memory->realloc(block, size * 3, user));
      EXPECT_EQ(std::count(block, block + size, static_cast<char>(size % 251)), static_cast<std::ptrdiff_t>(size));
      block = static_cast<char*>(memory->realloc(block, 1, user));
      EXPECT_EQ(block[0], static_cast<char>(size % 251));
      memory->free(block, user);
    }
    blocks.clear();
  }
  auto* const zeros = static_cast<char*>(memory->calloc(7, 9, user));
  EXPECT_EQ(std::count(zeros, zeros + 63, '\0'), 63);
  std::thread([&] { memory->free(zeros, user); }).join();
  memory->free(nullptr, user);
  EXPECT_EQ(memory->calloc(SIZE_MAX, 2, user), nullptr);
  memory->free(memory->realloc(nullptr, 10, user), user);
}

}  // namespace
}  // namespace weir::rls
