#include "cli/admin/top_view.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>

#include "cli/admin/complete.h"

namespace weir::cli::admin {
namespace {

namespace json = boost::json;

json::value Stats(std::uint64_t allowed, std::uint64_t denied, std::uint64_t hot) {
  return json::object{
      {"time", "2027-01-15T08:00:00Z"},
      {"requests_per_second", 12.5},
      {"allowed_per_second", 10.0},
      {"denied_per_second", 2.5},
      {"allowed", allowed},
      {"denied", denied},
      {"active_limits", 1234},
      {"rules", json::array{json::object{{"rule", "cold"}, {"level", "tier"}, {"allowed", 900}, {"denied", 0}},
                            json::object{{"rule", "hot"}, {"level", "user"}, {"allowed", 10}, {"denied", hot}}}}};
}

TEST(TopView, RatesComeFromTwoLooks) {
  TopView view;
  view.Add(Stats(1'000, 0, 0), 0);
  const std::string once = view.Text("title", 0, 0);
  EXPECT_NE(once.find("allowed/s 10.0"), std::string::npos) << once;  // the server's own mean
  EXPECT_LT(once.find("cold"), once.find("hot"));                     // by totals
  view.Add(Stats(3'000, 500, 500), 2);
  const std::string twice = view.Text("title", 0, 0);
  EXPECT_NE(twice.find("requests/s 1,250   allowed/s 1,000   denied/s 250 (20.0 %)"), std::string::npos) << twice;
  EXPECT_LT(twice.find("hot"), twice.find("cold"));  // by what happens now
  EXPECT_NE(twice.find("1,234"), std::string::npos);
  // A server that was started anew has counted less: no negative rates.
  view.Add(Stats(5, 0, 0), 1);
  EXPECT_NE(view.Text("title", 0, 0).find("requests/s 0.0"), std::string::npos);
}

TEST(TopView, HowLongADecisionTakes) {
  TopView view;
  json::value stats = Stats(1, 1, 1);
  view.Add(stats, 0);
  EXPECT_EQ(view.Text("title", 0, 0).find("a decision takes"), std::string::npos) << "nobody has timed one";
  stats.as_object()["latency"] = json::object{{"timed", 9}, {"p50_us", 0.447}, {"p99_us", 12.0}, {"p999_us", 640.0}};
  view.Add(stats, 1);
  EXPECT_NE(view.Text("title", 0, 0).find("a decision takes 0.4 us (p50), 12.0 us (p99), 640 us (p99.9)\n"),
            std::string::npos)
      << view.Text("title", 0, 0);
}

TEST(TopView, FitsTheScreen) {
  TopView view;
  view.Add(Stats(1, 1, 1), 0);
  const std::string text = view.Text("title", 40, 7);
  EXPECT_LE(std::ranges::count(text, '\n'), 7);
  EXPECT_NE(text.find("cold"), std::string::npos);
  EXPECT_EQ(text.find("hot"), std::string::npos);
}

TEST(TopView, ALine) {
  EXPECT_EQ(TopView::Line(Stats(1, 1, 1)),
            "2027-01-15T08:00:00Z  requests/s 12.5  allowed/s 10.0  denied/s 2.5  active limits 1,234");
  EXPECT_EQ(TopView::Line(json::parse("{}")), "  requests/s 0.0  allowed/s 0.0  denied/s 0.0  active limits 0");
}

TEST(Curve, FromNothingToTheLargest) {
  EXPECT_EQ(Curve({}), "");
  EXPECT_EQ(Curve({0, 7, 14}), "▁▅█");
  EXPECT_EQ(Curve({0, 0}), "▁▁");
}

TEST(Completion, OnlyWordsThatAShellTakesAsTheyAre) {
  for (const char* good : {"alice", "users/al-ice_1.x", "/login", "10.0.0.0/8", "a@b.example"}) {
    EXPECT_TRUE(IsPlainWord(good)) << good;
  }
  for (const char* bad : {"", "a b", "$(id)", "a;b", "`id`", "a'b", "a\\b", "*", "{x}", "~", "a\nb", "\x1b"}) {
    EXPECT_FALSE(IsPlainWord(bad)) << bad;
  }
}

}  // namespace
}  // namespace weir::cli::admin
