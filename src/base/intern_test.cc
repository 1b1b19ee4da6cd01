#include "base/intern.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace weir {
namespace {

TEST(Intern, EqualTextsAreOneView) {
  std::string_view first;
  {
    const std::string text = "a name that is longer than any small string";
    first = Intern(text);
    EXPECT_NE(first.data(), text.data());
  }
  EXPECT_EQ(first, "a name that is longer than any small string");
  EXPECT_EQ(Intern(std::string("a name that is longer than any small string")).data(), first.data());
  EXPECT_NE(Intern("another name").data(), first.data());
  EXPECT_EQ(Intern(""), "");
}

TEST(Intern, ManyThreadsAgree) {
  std::vector<std::vector<const char*>> seen(4);
  std::vector<std::thread> threads;
  for (auto& mine : seen) {
    threads.emplace_back([&mine] {
      for (int i = 0; i < 500; ++i) mine.push_back(Intern("shared " + std::to_string(i)).data());
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& mine : seen) EXPECT_EQ(mine, seen[0]);
}

}  // namespace
}  // namespace weir
