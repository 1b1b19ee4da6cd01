#include "frontends/rls/envoy/messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cassert>
#include <cstring>
#include <iterator>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "frontends/rls/envoy/protobuf_faults.h"
#include "frontends/rls/envoy/protobuf_fields.h"

namespace weir::rls {
namespace {

using protozero::pbf_reader;
using protozero::pbf_writer;

// Reads one message and keeps the position, so that a fault can name it.
class RequestReader {
 public:
  RequestReader(RequestKind kind, MessageStorage& storage) : kind_(kind), storage_(storage) {
    request_.first_descriptor = static_cast<std::uint32_t>(storage.descriptors.size());
  }

  void Read(std::string_view message) {
    pbf_reader reader(message.data(), message.size());
    while (reader.next()) {
      switch (reader.tag_and_type()) {
        case Field(1, kBytes):
          field_ = "domain";
          request_.domain = Text(reader);
          break;
        case Field(2, kBytes):
          field_ = "";
          ReadDescriptor(reader.get_message());
          descriptor_ = -1;
          break;
        case Field(3, kVarint):
          field_ = "the third field";
          if (kind_ == RequestKind::kRateLimit) {
            request_.hits_addend = reader.get_uint32();
          } else if (kind_ == RequestKind::kReserve) {
            request_.amount = reader.get_uint64();
          } else {
            reader.skip();
          }
          break;
        case Field(3, kBytes):
          field_ = "reservation_id";
          if (kind_ == RequestKind::kCommit) {
            request_.reservation_id = Text(reader);
          } else {
            reader.skip();
          }
          break;
        case Field(4, kVarint):
          field_ = "actual_amount";
          if (kind_ == RequestKind::kCommit) {
            request_.amount = reader.get_uint64();
          } else {
            reader.skip();
          }
          break;
        case Field(4, kBytes):
          field_ = "ttl";
          if (kind_ == RequestKind::kReserve) {
            ReadTtl(reader.get_message());
          } else {
            reader.skip();
          }
          break;
        default:
          field_ = "a field that is not known";
          reader.skip();
      }
      field_ = "";
    }
    if (ttl_.seconds != 0 || ttl_.nanos != 0) SetTtl();
    request_.descriptors = static_cast<std::uint32_t>(storage_.descriptors.size()) - request_.first_descriptor;
  }

  const RequestMessage& request() const { return request_; }
  // "descriptors[1].entries[0].key"
  std::string Where() const {
    std::string where;
    const auto add = [&where](std::string_view part) {
      if (part.empty()) return;
      if (!where.empty()) where += '.';
      where += part;
    };
    if (descriptor_ >= 0) add(fmt::format("descriptors[{}]", descriptor_));
    if (entry_ >= 0) add(fmt::format("entries[{}]", entry_));
    add(field_);
    return where;
  }

 private:
  static std::string_view Text(pbf_reader& reader) { return Utf8Of(reader.get_view()); }
  static std::string_view Bytes(pbf_reader& reader) {
    const auto view = reader.get_view();
    return {view.data(), view.size()};
  }

  void ReadDescriptor(pbf_reader reader) {
    descriptor_ = static_cast<int>(storage_.descriptors.size() - request_.first_descriptor);
    if (storage_.descriptors.size() - request_.first_descriptor == kMostDescriptors) {
      throw Refused{"more than 100 descriptors"};
    }
    DescriptorMessage& descriptor = storage_.descriptors.emplace_back();
    descriptor.first_entry = static_cast<std::uint32_t>(storage_.entries.size());
    while (reader.next()) {
      switch (reader.tag_and_type()) {
        case Field(1, kBytes):
          ReadEntry(reader.get_message(), descriptor);
          entry_ = -1;
          break;
        case Field(2, kBytes):
          field_ = "limit";
          if (!descriptor.limit) descriptor.limit.emplace();
          ReadOverride(reader.get_message(), *descriptor.limit);
          break;
        case Field(3, kBytes):
          field_ = "hits_addend";
          if (!descriptor.hits_addend) descriptor.hits_addend.emplace(0);
          ReadWrapped(reader.get_message(), *descriptor.hits_addend);
          break;
        case Field(4, kVarint):
          field_ = "is_negative_hits";
          descriptor.is_negative_hits = reader.get_uint64() != 0;
          break;
        default:
          field_ = "a field that is not known";
          reader.skip();
      }
      field_ = "";
    }
  }

  void ReadEntry(pbf_reader reader, DescriptorMessage& descriptor) {
    entry_ = static_cast<int>(descriptor.entries);
    if (descriptor.entries == kMostEntries) throw Refused{"more than 64 entries"};
    ++descriptor.entries;
    Attribute& entry = storage_.entries.emplace_back();
    while (reader.next()) {
      switch (reader.tag_and_type()) {
        case Field(1, kBytes):
          field_ = "key";
          entry.name = Bytes(reader);
          break;
        case Field(2, kBytes):
          field_ = "value";
          entry.value = Bytes(reader);
          break;
        default:
          field_ = "a field that is not known";
          reader.skip();
      }
      field_ = "";
    }
  }

  static void ReadOverride(pbf_reader reader, OverrideMessage& limit) {
    while (reader.next()) {
      switch (reader.tag_and_type()) {
        case Field(1, kVarint):
          limit.requests_per_unit = reader.get_uint32();
          break;
        case Field(2, kVarint):
          limit.unit = static_cast<std::uint32_t>(reader.get_uint64());
          break;
        case Field(3, kBytes): {
          // A wrapper that is there and empty is a 0.
          std::uint64_t multiplier = limit.has_multiplier ? limit.unit_multiplier : 0;
          limit.has_multiplier = true;
          ReadWrapped(reader.get_message(), multiplier);
          limit.unit_multiplier = static_cast<std::uint32_t>(multiplier);
          break;
        }
        default:
          reader.skip();
      }
    }
  }

  static void ReadWrapped(pbf_reader reader, std::uint64_t& value) {
    while (reader.next()) {
      if (reader.tag_and_type() == Field(1, kVarint)) {
        value = reader.get_uint64();
      } else {
        reader.skip();
      }
    }
  }

  // What is there twice is merged, the later fields holding.
  void ReadTtl(pbf_reader reader) { ttl_ = ReadDuration(reader, ttl_); }

  // google.protobuf.Duration: both of one sign, nanos below a second.
  void SetTtl() {
    constexpr std::int64_t kMostSeconds = std::numeric_limits<Nanos>::max() / kSecond - 1;
    field_ = "ttl";
    if (ttl_.seconds < 0 || ttl_.nanos < 0) throw Refused{"negative"};
    if (ttl_.nanos >= kSecond) throw Refused{"nanos of a second or more"};
    request_.ttl = std::min(ttl_.seconds, kMostSeconds) * kSecond + ttl_.nanos;
    field_ = "";
  }

  const RequestKind kind_;
  MessageStorage& storage_;
  RequestMessage request_;
  ProtobufDuration ttl_;
  int descriptor_ = -1, entry_ = -1;
  std::string_view field_;
};

// What a field takes whose number is below 16, so that its tag is one byte.
std::size_t NumberSize(std::uint64_t value) { return 1 + static_cast<std::size_t>(protozero::length_of_varint(value)); }
std::size_t BytesSize(std::size_t size) { return NumberSize(size) + size; }

// Fields written straight into storage that was measured for them. protozero's writer does not know sizes beforehand,
// so moves each nested message when it ends; the statuses and headers of an answer are most of what it costs.
class FieldWriter {
 public:
  // Makes `out` longer by `size`, which what is written must fill.
  FieldWriter(std::string& out, std::size_t size) {
    const std::size_t had = out.size();
    out.resize(had + size);
    at_ = out.data() + had;
    end_ = at_ + size;
  }
  ~FieldWriter() { assert(at_ == end_); }
  FieldWriter(const FieldWriter&) = delete;
  FieldWriter& operator=(const FieldWriter&) = delete;

  void Number(char field, std::uint64_t value) {
    *at_++ = static_cast<char>(field << 3);
    at_ += protozero::write_varint(at_, value);
  }
  // The head of a message of `size` bytes, which follow.
  void Message(char field, std::size_t size) {
    *at_++ = static_cast<char>(field << 3 | 2);
    at_ += protozero::write_varint(at_, size);
  }
  void Bytes(char field, std::string_view text) {
    Message(field, text.size());
    if (!text.empty()) std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }

 private:
  char* at_ = nullptr;
  char* end_ = nullptr;
};

void AppendEscaped(std::string_view text, std::string& out) {
  for (std::size_t bad = 0; (bad = FindInvalidUtf8(text)) != std::string_view::npos; text.remove_prefix(bad + 1)) {
    out.append(text.substr(0, bad));
    fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(text[bad]));
  }
  out.append(text);
}

// google.protobuf.Struct and Value.
void AddPair(pbf_writer& fields, std::string_view name, auto&& write_value) {
  pbf_writer pair(fields, 1);
  pair.add_string(1, name.data(), name.size());
  pbf_writer value(pair, 2);
  write_value(value);
}
void AddNumber(pbf_writer& fields, std::string_view name, double number) {
  AddPair(fields, name, [&](pbf_writer& value) { value.add_double(2, number); });
}
void AddText(pbf_writer& fields, std::string_view name, std::string_view text) {
  AddPair(fields, name, [&](pbf_writer& value) { value.add_string(3, text.data(), text.size()); });
}
// `write_values` adds Values, field 1, to a ListValue.
void AddList(pbf_writer& fields, std::string_view name, auto&& write_values) {
  AddPair(fields, name, [&](pbf_writer& value) {
    // An empty list is still a list: protozero drops submessages that stay empty.
    std::string content;
    pbf_writer list(content);
    write_values(list);
    value.add_message(6, content);
  });
}

void AddObject(pbf_writer& value, const boost::json::object& object);

// A JSON value into a google.protobuf.Value. As deep as a document may be.
void AddJson(pbf_writer& value, const boost::json::value& json) {
  switch (json.kind()) {
    case boost::json::kind::null:
      return value.add_enum(1, 0);
    case boost::json::kind::bool_:
      return value.add_bool(4, json.get_bool());
    case boost::json::kind::string:
      return value.add_string(3, json.get_string().data(), json.get_string().size());
    case boost::json::kind::object:
      return AddObject(value, json.get_object());
    case boost::json::kind::array: {
      std::string content;
      pbf_writer list(content);
      for (const boost::json::value& one : json.get_array()) {
        pbf_writer entry(list, 1);
        AddJson(entry, one);
      }
      return value.add_message(6, content);
    }
    default:
      return value.add_double(2, json.to_number<double>());
  }
}

// An empty one is still there: protozero drops submessages that stay empty.
void AddObject(pbf_writer& value, const boost::json::object& object) {
  std::string content;
  pbf_writer fields(content);
  for (const auto& [name, one] : object) {
    AddPair(fields, {name.data(), name.size()}, [&json = one](pbf_writer& to) { AddJson(to, json); });
  }
  value.add_message(5, content);
}

}  // namespace

std::string_view ToString(Unit unit) {
  constexpr std::array<std::string_view, 8> kNames = {"UNKNOWN", "SECOND", "MINUTE", "HOUR",
                                                      "DAY",     "MONTH",  "YEAR",   "WEEK"};
  return kNames[static_cast<std::size_t>(unit)];
}

std::uint64_t SecondsOf(Unit unit) {
  constexpr std::array<std::uint64_t, 8> kSeconds = {0, 1, 60, 3'600, 86'400, 30 * 86'400, 365 * 86'400, 7 * 86'400};
  return kSeconds[static_cast<std::size_t>(unit)];
}

Unit UnitOf(std::uint64_t seconds) {
  if (seconds == 0) return Unit::kUnknown;
  for (std::uint8_t number = 1; number < 8; ++number) {
    if (SecondsOf(Unit{number}) == seconds) return Unit{number};
  }
  return Unit::kUnknown;
}

Result<RequestMessage> ReadRequest(RequestKind kind, std::string_view message, MessageStorage& storage) {
  const std::size_t descriptors = storage.descriptors.size(), entries = storage.entries.size();
  RequestReader reader(kind, storage);
  std::string_view why;
  try {
    reader.Read(message);
    return reader.request();
  } catch (const Refused& refused) {
    why = refused.why;
  } catch (const protozero::exception& fault) {
    why = WhyOf(fault);
  }
  storage.descriptors.resize(descriptors);
  storage.entries.resize(entries);
  const std::string where = reader.Where();
  return Fail(ErrorCode::kInvalidArgument, fmt::format("{}: {}", where.empty() ? "the request" : where, why));
}

ResponseWriter::ResponseWriter(std::string& out) : out_(out), start_(out.size()) {
  // overall_code: one byte that Finish() knows.
  out.append("\x08\x00", 2);
}

void ResponseWriter::AddStatus(const DescriptorStatus& status) {
  // The limit's message itself is what tells that there is a limit, so it is written even if it is a limit of nothing.
  std::size_t limit = 0;
  if (status.has_limit) {
    limit = NumberSize(status.requests_per_unit) + (status.unit != Unit::kUnknown ? 2 : 0) +
            (status.name.empty() ? 0 : BytesSize(status.name.size()));
  }
  const std::size_t duration = status.seconds_until_reset ? NumberSize(*status.seconds_until_reset) : 0;
  const std::size_t size = (status.code != Answer::kUnknown ? 2 : 0) + (status.has_limit ? BytesSize(limit) : 0) +
                           (status.limit_remaining != 0 ? NumberSize(status.limit_remaining) : 0) +
                           (status.seconds_until_reset ? BytesSize(duration) : 0);
  FieldWriter to(out_, BytesSize(size));
  to.Message(2, size);
  if (status.code != Answer::kUnknown) to.Number(1, static_cast<std::uint64_t>(status.code));
  if (status.has_limit) {
    to.Message(2, limit);
    to.Number(1, status.requests_per_unit);
    if (status.unit != Unit::kUnknown) to.Number(2, static_cast<std::uint64_t>(status.unit));
    if (!status.name.empty()) to.Bytes(3, status.name);
  }
  if (status.limit_remaining != 0) to.Number(3, status.limit_remaining);
  if (status.seconds_until_reset) {
    to.Message(4, duration);
    to.Number(1, *status.seconds_until_reset);
  }
}

void ResponseWriter::AddResponseHeader(std::string_view name, std::string_view value) {
  const std::size_t size = BytesSize(name.size()) + BytesSize(value.size());
  FieldWriter to(out_, BytesSize(size));
  to.Message(3, size);
  to.Bytes(1, name);
  to.Bytes(2, value);
}

void ResponseWriter::SetRawBody(std::string_view body) {
  FieldWriter to(out_, BytesSize(body.size()));
  to.Bytes(5, body);
}

void ResponseWriter::SetDynamicMetadata(const Metadata& metadata) {
  const RequestMessage& request = metadata.request;
  pbf_writer response(out_);
  pbf_writer fields(response, 6);
  AddText(fields, "domain", request.domain);
  std::string shown;
  AddList(fields, "descriptors", [&](pbf_writer& list) {
    for (std::uint32_t i = 0; i < request.descriptors; ++i) {
      const DescriptorMessage& descriptor = metadata.storage.descriptors[request.first_descriptor + i];
      pbf_writer value(list, 1);
      pbf_writer parts(value, 5);
      AddList(parts, "entries", [&](pbf_writer& entries) {
        for (std::uint32_t e = 0; e < descriptor.entries; ++e) {
          const Attribute& entry = metadata.storage.entries[descriptor.first_entry + e];
          pbf_writer text(entries, 1);
          shown.clear();
          AppendEscaped(entry.name, shown);
          shown += '=';
          AppendEscaped(entry.value, shown);
          text.add_string(3, shown);
        }
      });
      if (descriptor.limit) {
        const OverrideMessage& limit = *descriptor.limit;
        AddText(parts, "limit",
                fmt::format("requests_per_unit:{} unit:{}", limit.requests_per_unit,
                            limit.unit < 8 ? ToString(static_cast<Unit>(limit.unit)) : std::to_string(limit.unit)));
      }
      if (descriptor.hits_addend) AddNumber(parts, "hitsAddend", static_cast<double>(*descriptor.hits_addend));
    }
  });
  if (request.hits_addend != 0) AddNumber(fields, "hitsAddend", request.hits_addend);
  if (!metadata.violations.empty()) {
    AddList(fields, "quotaModeViolations", [&](pbf_writer& list) {
      for (const std::uint32_t violation : metadata.violations) {
        pbf_writer value(list, 1);
        value.add_double(2, violation);
      }
    });
  }
  AddPair(fields, "quotaModeEnabled", [&](pbf_writer& value) { value.add_bool(4, metadata.quota_mode); });
  if (metadata.metadata != nullptr && !metadata.metadata->empty()) {
    AddPair(fields, "metadata", [&](pbf_writer& value) { AddObject(value, *metadata.metadata); });
  }
}

void ResponseWriter::Finish(Answer overall) { out_[start_ + 1] = static_cast<char>(overall); }

void AppendReserveResponse(Answer code, std::string_view reservation_id, std::string& out) {
  pbf_writer response(out);
  if (code != Answer::kUnknown) response.add_enum(1, static_cast<std::int32_t>(code));
  if (!reservation_id.empty()) response.add_string(2, reservation_id.data(), reservation_id.size());
}

void AppendCommitResponse(bool reservation_released, std::string& out) {
  pbf_writer response(out);
  if (reservation_released) response.add_bool(1, true);
}

}  // namespace weir::rls
