// Held against protobuf's own classes.
#include "frontends/rls/envoy/messages.h"

#include <envoy/service/ratelimit/v3/rls.pb.h>
#include <gtest/gtest.h>
#include <kuadrant/service/ratelimit/v1/ratelimit.pb.h>
#include <rapidcheck.h>

#include <string>

namespace weir::rls {
namespace {

using envoy::service::ratelimit::v3::RateLimitRequest;
using envoy::service::ratelimit::v3::RateLimitResponse;

// Text of any length class, ASCII and not.
std::string AnyText() {
  std::string text;
  const int pieces = *rc::gen::inRange(0, 12);
  for (int i = 0; i < pieces; ++i) {
    text += *rc::gen::element<std::string>("a", "key", "", "remote_address", "\xC3\xA9", "\xF0\x9F\x98\x80",
                                           std::string(1, '\0'), std::string(40, 'x'));
  }
  return text;
}

RateLimitRequest AnyRequest() {
  RateLimitRequest request;
  request.set_domain(AnyText());
  if (*rc::gen::arbitrary<bool>()) request.set_hits_addend(*rc::gen::arbitrary<std::uint32_t>());
  const int descriptors = *rc::gen::inRange(0, 6);
  for (int i = 0; i < descriptors; ++i) {
    auto* descriptor = request.add_descriptors();
    const int entries = *rc::gen::inRange(0, 5);
    for (int e = 0; e < entries; ++e) {
      auto* entry = descriptor->add_entries();
      entry->set_key(AnyText());
      entry->set_value(AnyText());
    }
    if (*rc::gen::arbitrary<bool>()) {
      descriptor->mutable_limit()->set_requests_per_unit(*rc::gen::arbitrary<std::uint32_t>());
      if (*rc::gen::arbitrary<bool>()) {
        descriptor->mutable_limit()->set_unit(
            static_cast<envoy::type::v3::RateLimitUnit>(*rc::gen::arbitrary<std::int32_t>()));
      }
      if (*rc::gen::arbitrary<bool>()) {
        descriptor->mutable_limit()->mutable_unit_multiplier()->set_value(*rc::gen::arbitrary<std::uint32_t>());
      }
    }
    if (*rc::gen::arbitrary<bool>()) {
      descriptor->mutable_hits_addend()->set_value(*rc::gen::arbitrary<std::uint64_t>());
    }
    if (*rc::gen::arbitrary<bool>()) descriptor->set_is_negative_hits(true);
  }
  return request;
}

// What was read is what protobuf reads.
bool Same(const RequestMessage& read, const MessageStorage& storage, const RateLimitRequest& request) {
  bool same = read.domain == request.domain() && read.hits_addend == request.hits_addend() &&
              read.descriptors == static_cast<std::uint32_t>(request.descriptors_size());
  for (int i = 0; same && i < request.descriptors_size(); ++i) {
    const DescriptorMessage& mine = storage.descriptors[read.first_descriptor + static_cast<std::uint32_t>(i)];
    const auto& theirs = request.descriptors(i);
    same = mine.entries == static_cast<std::uint32_t>(theirs.entries_size()) &&
           mine.limit.has_value() == theirs.has_limit() && mine.hits_addend.has_value() == theirs.has_hits_addend() &&
           mine.hits_addend.value_or(0) == theirs.hits_addend().value() &&
           mine.is_negative_hits == theirs.is_negative_hits();
    if (same && mine.limit) {
      same = mine.limit->requests_per_unit == theirs.limit().requests_per_unit() &&
             mine.limit->unit == static_cast<std::uint32_t>(theirs.limit().unit()) &&
             mine.limit->has_multiplier == theirs.limit().has_unit_multiplier() &&
             (!mine.limit->has_multiplier || mine.limit->unit_multiplier == theirs.limit().unit_multiplier().value());
    }
    for (int e = 0; same && e < theirs.entries_size(); ++e) {
      const Attribute& entry = storage.entries[mine.first_entry + static_cast<std::uint32_t>(e)];
      same = entry.name == theirs.entries(e).key() && entry.value == theirs.entries(e).value();
    }
  }
  return same;
}

// A record of any number and type, as nobody defines it: what a later version of the protocol may add.
std::string AnyUnknownField() {
  const std::uint32_t number = *rc::gen::inRange<std::uint32_t>(16, 300);
  const std::uint32_t type = *rc::gen::element<std::uint32_t>(0, 1, 2, 5);
  std::string field;
  const auto varint = [&field](std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) field += static_cast<char>(value | 0x80);
    field += static_cast<char>(value);
  };
  varint(number << 3 | type);
  if (type == 0) varint(*rc::gen::arbitrary<std::uint64_t>());
  if (type == 1) field += "12345678";
  if (type == 2) field += "\x03xyz";
  if (type == 5) field += "1234";
  return field;
}

TEST(Messages, ReadsWhatProtobufWrites) {
  EXPECT_TRUE(rc::check([] {
    MessageStorage storage;
    for (int i = 0; i < 3; ++i) {
      const RateLimitRequest request = AnyRequest();
      const std::string wire = request.SerializeAsString();
      const auto read = ReadRequest(RequestKind::kRateLimit, wire, storage);
      RC_ASSERT(read.has_value());
      RC_ASSERT(Same(*read, storage, request));
    }
  }));
}

TEST(Messages, PassesOverWhatItDoesNotKnow) {
  EXPECT_TRUE(rc::check([] {
    RateLimitRequest request = AnyRequest();
    auto* descriptor = request.add_descriptors();
    descriptor->GetReflection()->MutableUnknownFields(descriptor)->ParseFromString(AnyUnknownField());
    auto* entry = descriptor->add_entries();
    entry->GetReflection()->MutableUnknownFields(entry)->ParseFromString(AnyUnknownField());
    entry->set_key("k");
    const std::string wire = AnyUnknownField() + request.SerializeAsString() + AnyUnknownField();
    MessageStorage storage;
    const auto read = ReadRequest(RequestKind::kRateLimit, wire, storage);
    RC_ASSERT(read.has_value());
    RC_ASSERT(Same(*read, storage, request));
  }));
}

// Each known field in each other wire type is unknown, and each cut and each changed byte is either refused or read as
// protobuf reads it.
TEST(Messages, ReadsDamagedMessagesAsProtobufDoesOrRefuses) {
  EXPECT_TRUE(rc::check([] {
    std::string wire = AnyRequest().SerializeAsString();
    RC_PRE(!wire.empty());
    const int changes = *rc::gen::inRange(1, 4);
    for (int i = 0; i < changes; ++i)
      wire[*rc::gen::inRange<std::size_t>(0, wire.size())] = *rc::gen::arbitrary<char>();
    MessageStorage storage;
    const auto read = ReadRequest(RequestKind::kRateLimit, wire, storage);
    if (!read) {
      RC_ASSERT(storage.descriptors.empty());
      RC_ASSERT(storage.entries.empty());
      RC_ASSERT(read.error().code == ErrorCode::kInvalidArgument);
      return;
    }
    RateLimitRequest request;
    // Lengths and field numbers of more than 32 bits are read without those above.
    if (request.ParseFromString(wire)) RC_ASSERT(Same(*read, storage, request));
  }));
}

TEST(Messages, FieldsOfAnotherWireTypeAreUnknown) {
  const auto read_alone = [](std::string_view wire) {
    MessageStorage storage;
    const auto read = ReadRequest(RequestKind::kRateLimit, wire, storage);
    EXPECT_TRUE(read) << read.error().message;
    RateLimitRequest request;
    EXPECT_TRUE(request.ParseFromString(std::string(wire)));
    EXPECT_TRUE(read && Same(*read, storage, request));
  };
  using namespace std::string_view_literals;
  read_alone("\x08\x05"sv);                      // domain as a number
  read_alone("\x0d\x01\x02\x03\x04"sv);          // domain as 4 bytes
  read_alone("\x10\x05"sv);                      // descriptors as a number
  read_alone("\x1a\x01\x05"sv);                  // hits_addend as bytes
  read_alone("\x12\x02\x08\x01"sv);              // entries as a number
  read_alone("\x12\x02\x10\x01"sv);              // limit as a number
  read_alone("\x12\x02\x18\x01"sv);              // hits_addend of a descriptor as a number
  read_alone("\x12\x03\x22\x01\x01"sv);          // is_negative_hits as bytes
  read_alone("\x12\x04\x0a\x02\x08\x01"sv);      // key as a number
  read_alone("\x12\x05\x12\x03\x0a\x01\x01"sv);  // requests_per_unit as bytes
}

TEST(Messages, TruncatedAnywhereIsRefusedUnlessWhatIsLeftIsWhole) {
  RateLimitRequest request;
  request.set_domain("edge");
  auto* descriptor = request.add_descriptors();
  auto* entry = descriptor->add_entries();
  entry->set_key("remote_address");
  entry->set_value("192.0.2.1");
  descriptor->mutable_limit()->set_requests_per_unit(300);
  descriptor->mutable_hits_addend()->set_value(1'000'000);
  descriptor->set_is_negative_hits(true);
  request.set_hits_addend(500);
  const std::string wire = request.SerializeAsString();
  for (std::size_t size = 0; size <= wire.size(); ++size) {
    // Read from the heap, so that a step beyond the end is seen.
    const std::string cut(wire, 0, size);
    MessageStorage storage;
    RateLimitRequest theirs;
    EXPECT_EQ(ReadRequest(RequestKind::kRateLimit, cut, storage).has_value(), theirs.ParseFromString(cut)) << size;
  }
}

TEST(Messages, SaysWhatIsWrongAndWhere) {
  const auto why = [](std::string_view wire) {
    MessageStorage storage;
    const auto read = ReadRequest(RequestKind::kRateLimit, wire, storage);
    return read ? "" : read.error().message;
  };
  using namespace std::string_view_literals;
  EXPECT_EQ(why("\x0a\x05"
                "abc"sv),
            "domain: the message ends within it");
  EXPECT_EQ(why("\x0a\x02\xff\xfe"sv), "domain: not UTF-8");
  EXPECT_EQ(why("\x12\x00\x12\x04\x0a\x02\x0a\x05"sv), "descriptors[1].entries[0].key: the message ends within it");
  EXPECT_EQ(why("\x12\x06\x0a\x00\x0a\x02\x12\x01"sv), "descriptors[0].entries[1].value: the message ends within it");
  EXPECT_EQ(why("\x00"sv), "the request: an impossible field number");
  EXPECT_EQ(why("\x0b"sv), "the request: a field of no known type");
  EXPECT_EQ(why("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv), "the third field: a number of over 10 bytes");
}

// Envoy lets a request pass whose call is refused: a byte in a header must not do that.
TEST(Messages, EntriesMayBeAnyBytes) {
  using namespace std::string_view_literals;
  const std::string_view wire = "\x0a\x01m\x12\x0b\x0a\x09\x0a\x02k\xfe\x12\x03\xff\xc3v"sv;
  MessageStorage storage;
  const auto read = ReadRequest(RequestKind::kRateLimit, wire, storage);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(storage.entries[0].name, "k\xfe"sv);
  EXPECT_EQ(storage.entries[0].value, "\xff\xc3v"sv);
  std::string out;
  ResponseWriter writer(out);
  writer.SetDynamicMetadata({.request = *read, .storage = storage, .violations = {}});
  writer.Finish(Answer::kOk);
  RateLimitResponse response;
  ASSERT_TRUE(response.ParseFromString(out));
  const auto& descriptor = response.dynamic_metadata().fields().at("descriptors").list_value().values(0);
  EXPECT_EQ(descriptor.struct_value().fields().at("entries").list_value().values(0).string_value(),
            "k\\xfe=\\xff\\xc3v");
}

TEST(Messages, DescriptorsAndEntriesAreBounded) {
  RateLimitRequest request;
  for (std::size_t i = 0; i < kMostDescriptors; ++i) request.add_descriptors();
  for (std::size_t i = 0; i < kMostEntries; ++i) request.mutable_descriptors(99)->add_entries();
  MessageStorage storage;
  EXPECT_TRUE(ReadRequest(RequestKind::kRateLimit, request.SerializeAsString(), storage));
  request.mutable_descriptors(99)->add_entries();
  auto read = ReadRequest(RequestKind::kRateLimit, request.SerializeAsString(), storage);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().message, "descriptors[99].entries[64]: more than 64 entries");
  request.add_descriptors();
  request.mutable_descriptors(99)->mutable_entries()->RemoveLast();
  read = ReadRequest(RequestKind::kRateLimit, request.SerializeAsString(), storage);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().message, "descriptors[100]: more than 100 descriptors");
  EXPECT_EQ(storage.descriptors.size(), kMostDescriptors);  // only the first message's
}

TEST(Messages, ReadsKuadrantsRequests) {
  EXPECT_TRUE(rc::check([] {
    kuadrant::service::ratelimit::v1::ReserveRequest reserve;
    reserve.set_domain(AnyText());
    reserve.set_amount(*rc::gen::arbitrary<std::uint64_t>());
    reserve.add_descriptors()->add_entries()->set_key(AnyText());
    reserve.mutable_ttl()->set_seconds(*rc::gen::inRange(0, 100'000));
    reserve.mutable_ttl()->set_nanos(*rc::gen::inRange(0, 1'000'000'000));
    MessageStorage storage;
    std::string wire = reserve.SerializeAsString();
    auto read = ReadRequest(RequestKind::kReserve, wire, storage);
    RC_ASSERT(read.has_value());
    RC_ASSERT(read->domain == reserve.domain());
    RC_ASSERT(read->amount == reserve.amount());
    RC_ASSERT(read->ttl == reserve.ttl().seconds() * kSecond + reserve.ttl().nanos());
    RC_ASSERT(storage.entries[0].name == reserve.descriptors(0).entries(0).key());

    kuadrant::service::ratelimit::v1::CommitRequest commit;
    commit.set_domain(AnyText());
    commit.set_reservation_id(AnyText());
    commit.set_actual_amount(*rc::gen::arbitrary<std::uint64_t>());
    wire = commit.SerializeAsString();
    read = ReadRequest(RequestKind::kCommit, wire, storage);
    RC_ASSERT(read.has_value());
    RC_ASSERT(read->domain == commit.domain());
    RC_ASSERT(read->reservation_id == commit.reservation_id());
    RC_ASSERT(read->amount == commit.actual_amount());
  }));
}

TEST(Messages, RefusesATtlThatIsNoDuration) {
  const auto read = [](std::int64_t seconds, std::int32_t nanos) {
    kuadrant::service::ratelimit::v1::ReserveRequest reserve;
    reserve.mutable_ttl()->set_seconds(seconds);
    reserve.mutable_ttl()->set_nanos(nanos);
    MessageStorage storage;
    const auto result = ReadRequest(RequestKind::kReserve, reserve.SerializeAsString(), storage);
    return result ? std::to_string(result->ttl) : result.error().message;
  };
  EXPECT_EQ(read(-1, 0), "ttl: negative");
  EXPECT_EQ(read(0, -1), "ttl: negative");
  EXPECT_EQ(read(0, 1'000'000'000), "ttl: nanos of a second or more");
  EXPECT_EQ(read(INT64_MAX, 0), std::to_string((INT64_MAX / kSecond - 1) * kSecond));
  EXPECT_EQ(read(1, 5), "1000000005");
}

TEST(Messages, ProtobufReadsWhatIsWritten) {
  EXPECT_TRUE(rc::check([] {
    std::string wire;
    RateLimitResponse expected;
    ResponseWriter writer(wire);
    const int statuses = *rc::gen::inRange(0, 5);
    std::vector<std::string> names;
    for (int i = 0; i < statuses; ++i) {
      const std::string name = AnyText();
      DescriptorStatus status{.code = *rc::gen::element(Answer::kUnknown, Answer::kOk, Answer::kOverLimit),
                              .has_limit = *rc::gen::arbitrary<bool>(),
                              .requests_per_unit = *rc::gen::arbitrary<std::uint32_t>(),
                              .unit = static_cast<Unit>(*rc::gen::inRange(0, 8)),
                              .name = name,
                              .limit_remaining = *rc::gen::arbitrary<std::uint32_t>(),
                              .seconds_until_reset = std::nullopt};
      auto* to = expected.add_statuses();
      to->set_code(static_cast<RateLimitResponse::Code>(status.code));
      if (status.has_limit) {
        to->mutable_current_limit()->set_requests_per_unit(status.requests_per_unit);
        to->mutable_current_limit()->set_unit(static_cast<RateLimitResponse::RateLimit::Unit>(status.unit));
        to->mutable_current_limit()->set_name(name);
      }
      to->set_limit_remaining(status.limit_remaining);
      if (*rc::gen::arbitrary<bool>()) {
        status.seconds_until_reset = *rc::gen::inRange<std::uint64_t>(0, 1'000'000);
        to->mutable_duration_until_reset()->set_seconds(static_cast<std::int64_t>(*status.seconds_until_reset));
      }
      writer.AddStatus(status);
    }
    const int headers = *rc::gen::inRange(0, 3);
    for (int i = 0; i < headers; ++i) {
      auto* header = expected.add_response_headers_to_add();
      header->set_key(AnyText());
      header->set_value(AnyText());
      writer.AddResponseHeader(header->key(), header->value());
    }
    const Answer overall = *rc::gen::element(Answer::kOk, Answer::kOverLimit);
    expected.set_overall_code(static_cast<RateLimitResponse::Code>(overall));
    writer.Finish(overall);
    RateLimitResponse read;
    RC_ASSERT(read.ParseFromString(wire));
    RC_ASSERT(read.ShortDebugString() == expected.ShortDebugString());
  }));
}

TEST(Messages, TellsTheRequestAsMetadata) {
  RateLimitRequest request;
  request.set_domain("edge");
  request.set_hits_addend(2);
  auto* descriptor = request.add_descriptors();
  for (const char* key : {"a", "b"}) {
    auto* entry = descriptor->add_entries();
    entry->set_key(key);
    entry->set_value("1");
  }
  descriptor->mutable_limit()->set_requests_per_unit(5);
  descriptor->mutable_limit()->set_unit(envoy::type::v3::MINUTE);
  descriptor->mutable_hits_addend()->set_value(3);
  request.add_descriptors();
  const std::string wire = request.SerializeAsString();
  MessageStorage storage;
  const auto read = ReadRequest(RequestKind::kRateLimit, wire, storage);
  ASSERT_TRUE(read);

  std::string out;
  ResponseWriter writer(out);
  const std::uint32_t violation = 1;
  writer.SetDynamicMetadata({.request = *read, .storage = storage, .violations = {&violation, 1}, .quota_mode = true});
  writer.Finish(Answer::kOk);
  RateLimitResponse response;
  ASSERT_TRUE(response.ParseFromString(out));
  const auto& fields = response.dynamic_metadata().fields();
  EXPECT_EQ(fields.at("domain").string_value(), "edge");
  EXPECT_EQ(fields.at("hitsAddend").number_value(), 2);
  EXPECT_TRUE(fields.at("quotaModeEnabled").bool_value());
  ASSERT_EQ(fields.at("quotaModeViolations").list_value().values_size(), 1);
  EXPECT_EQ(fields.at("quotaModeViolations").list_value().values(0).number_value(), 1);
  const auto& descriptors = fields.at("descriptors").list_value();
  ASSERT_EQ(descriptors.values_size(), 2);
  const auto& first = descriptors.values(0).struct_value().fields();
  ASSERT_EQ(first.at("entries").list_value().values_size(), 2);
  EXPECT_EQ(first.at("entries").list_value().values(1).string_value(), "b=1");
  EXPECT_EQ(first.at("limit").string_value(), "requests_per_unit:5 unit:MINUTE");
  EXPECT_EQ(first.at("hitsAddend").number_value(), 3);
  EXPECT_EQ(descriptors.values(1).struct_value().fields().at("entries").list_value().values_size(), 0);
}

TEST(Messages, WritesKuadrantsAnswers) {
  std::string out;
  AppendReserveResponse(Answer::kOk, "0123", out);
  kuadrant::service::ratelimit::v1::ReserveResponse response;
  ASSERT_TRUE(response.ParseFromString(out));
  EXPECT_EQ(response.code(), RateLimitResponse::OK);
  EXPECT_EQ(response.reservation_id(), "0123");

  out.clear();
  AppendCommitResponse(true, out);
  kuadrant::service::ratelimit::v1::CommitResponse commit;
  ASSERT_TRUE(commit.ParseFromString(out));
  EXPECT_TRUE(commit.reservation_released());
}

TEST(Messages, UnitsAndTheirLengths) {
  for (const Unit unit :
       {Unit::kSecond, Unit::kMinute, Unit::kHour, Unit::kDay, Unit::kWeek, Unit::kMonth, Unit::kYear}) {
    EXPECT_EQ(UnitOf(SecondsOf(unit)), unit);
  }
  EXPECT_EQ(UnitOf(0), Unit::kUnknown);
  EXPECT_EQ(UnitOf(61), Unit::kUnknown);
  EXPECT_EQ(SecondsOf(Unit::kMonth), 2'592'000U);
}

}  // namespace
}  // namespace weir::rls
