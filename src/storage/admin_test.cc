#include "storage/admin.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::storage {
namespace {

StateRecord ListRecord() {
  StateRecord record{.form = StateForm::kList,
                     .name = {.rule = "global.free_tier@1", .subject = "bob", .key = {.hi = 7, .lo = 8}, .place = {}},
                     .kind = algorithms::Kind::kFixedWindow,
                     .expires = 123'456'789,
                     .words = {1, INT64_MAX},
                     .bytes = {}};
  return record;
}

TEST(StateRecord, ComesBackAsItWas) {
  const StateRecord list = ListRecord();
  StateRecord word;
  word.form = StateForm::kWord;
  word.words = {42};
  word.expires = -1;
  StateRecord redis;
  redis.form = StateForm::kRedis;
  redis.name.place = std::string("p\0q", 3);
  redis.bytes = std::string("\0\xff", 2);
  for (const StateRecord& record : {list, word, redis}) {
    const auto decoded = DecodeState(EncodeState(record));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, record);
  }
}

TEST(StateRecord, IsTheSameOnEveryMachine) {
  StateRecord word;
  word.form = StateForm::kWord;
  word.words = {1};
  const std::string bytes = EncodeState(word);
  EXPECT_EQ(bytes.substr(0, 6), std::string("WST\x01\x01\x00", 6));
  EXPECT_EQ(bytes.size(), 6 + 3 * 8 + 4 * 4 + 4 + 8 + 8);
}

TEST(StateRecord, ThatIsCutOffOrChangedIsRefused) {
  const std::string good = EncodeState(ListRecord());
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(DecodeState(good.substr(0, size)));
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(DecodeState(bad)) << i;
  }
  EXPECT_FALSE(DecodeState(good + "x"));
  EXPECT_FALSE(DecodeState(good + good));
  EXPECT_FALSE(DecodeState(""));
}

TEST(StateRecord, OfAnotherVersionSaysSo) {
  std::string other = EncodeState(ListRecord());
  other[3] = 2;
  const auto decoded = DecodeState(other);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, ErrorCode::kFailedPrecondition);
}

// A good checksum over what cannot be.
TEST(StateRecord, ThatCannotBeIsRefused) {
  StateRecord no_words;
  no_words.form = StateForm::kWord;
  EXPECT_FALSE(DecodeState(EncodeState(no_words)));
  StateRecord fresh = no_words;
  fresh.words = {0};
  EXPECT_FALSE(DecodeState(EncodeState(fresh)));
  StateRecord pending = no_words;
  pending.words = {INT64_MIN};
  EXPECT_FALSE(DecodeState(EncodeState(pending)));
  StateRecord kindless = ListRecord();
  kindless.kind = algorithms::Kind::kUnlimited;
  EXPECT_FALSE(DecodeState(EncodeState(kindless)));
  kindless.kind = static_cast<algorithms::Kind>(250);
  EXPECT_FALSE(DecodeState(EncodeState(kindless)));
  StateRecord formless = ListRecord();
  formless.form = static_cast<StateForm>(0);
  EXPECT_FALSE(DecodeState(EncodeState(formless)));
}

}  // namespace
}  // namespace weir::storage
