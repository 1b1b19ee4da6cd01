#include "io/postgres/values.h"

#include <algorithm>
#include <utility>

#include "io/postgres/result.h"

namespace weir::io::postgres {
namespace {

// Highest byte first, as everything on PostgreSQL's wire.
template <typename Number>
void Append(std::string& out, Number number) {
  const auto bits = static_cast<std::uint64_t>(number);
  for (std::size_t i = sizeof number; i > 0; --i) out.push_back(static_cast<char>(bits >> (8 * (i - 1)) & 255));
}

void AppendKey(std::string& out, const Key& key) {
  Append(out, key.hi);
  Append(out, key.lo);
}

std::uint64_t Read(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

// One dimension, counted from 1.
std::string ArrayHead(Type element, std::size_t size, bool has_nulls) {
  std::string out;
  Append<std::int32_t>(out, size == 0 ? 0 : 1);
  Append<std::int32_t>(out, has_nulls ? 1 : 0);
  Append(out, static_cast<std::int32_t>(element));
  if (size == 0) return out;
  Append(out, static_cast<std::int32_t>(size));
  Append<std::int32_t>(out, 1);
  return out;
}

template <typename Number>
std::string ArrayOf(Type element, std::span<const Number> values) {
  std::string out = ArrayHead(element, values.size(), false);
  out.reserve(out.size() + values.size() * (4 + sizeof(Number)));
  for (const Number value : values) {
    Append(out, static_cast<std::int32_t>(sizeof value));
    Append(out, value);
  }
  return out;
}

std::optional<std::size_t> LengthOf(Type type) {
  switch (type) {
    case Type::kBool:
      return 1;
    case Type::kInt16:
      return 2;
    case Type::kInt32:
      return 4;
    case Type::kInt64:
      return 8;
    case Type::kUuid:
      return 16;
    default:
      return std::nullopt;
  }
}

int Index(std::size_t number) { return static_cast<int>(number); }

std::string_view Value(const Rows::Held& held, std::size_t row, std::size_t column) {
  const PGresult* const result = held.result.get();
  return {PQgetvalue(result, Index(row), Index(column)),
          static_cast<std::size_t>(PQgetlength(result, Index(row), Index(column)))};
}

}  // namespace

Params& Params::Add(std::int64_t value) {
  Append(values_.emplace_back(Value{Type::kInt64, {}}).bytes, value);
  return *this;
}

Params& Params::Add(std::string_view text) {
  values_.push_back({Type::kText, std::string(text)});
  return *this;
}

Params& Params::Add(const Key& key) {
  AppendKey(values_.emplace_back(Value{Type::kUuid, {}}).bytes, key);
  return *this;
}

Params& Params::AddBytes(std::string_view bytes) {
  values_.push_back({Type::kBytes, std::string(bytes)});
  return *this;
}

Params& Params::Add(std::span<const Key> keys) {
  std::string out = ArrayHead(Type::kUuid, keys.size(), false);
  out.reserve(out.size() + keys.size() * 20);
  for (const Key& key : keys) {
    Append<std::int32_t>(out, 16);
    AppendKey(out, key);
  }
  values_.push_back({Type::kUuidArray, std::move(out)});
  return *this;
}

Params& Params::Add(std::span<const std::int64_t> values) {
  values_.push_back({Type::kInt64Array, ArrayOf(Type::kInt64, values)});
  return *this;
}

Params& Params::Add(std::span<const std::int16_t> values) {
  values_.push_back({Type::kInt16Array, ArrayOf(Type::kInt16, values)});
  return *this;
}

Params& Params::Add(std::span<const std::optional<std::string>> values) {
  const bool has_nulls = std::ranges::any_of(values, [](const auto& value) { return !value; });
  std::string out = ArrayHead(Type::kBytes, values.size(), has_nulls);
  for (const std::optional<std::string>& value : values) {
    Append(out, value ? static_cast<std::int32_t>(value->size()) : -1);
    if (value) out += *value;
  }
  values_.push_back({Type::kBytesArray, std::move(out)});
  return *this;
}

std::size_t Rows::size() const { return held_ ? static_cast<std::size_t>(PQntuples(held_->result.get())) : 0; }

bool Rows::Have(std::initializer_list<Type> columns) const {
  if (!held_) return false;
  const PGresult* const result = held_->result.get();
  if (PQnfields(result) != Index(columns.size())) return false;
  int column = 0;
  for (const Type type : columns) {
    if (PQftype(result, column) != static_cast<Oid>(type) || PQfformat(result, column) != 1) return false;
    if (const auto length = LengthOf(type)) {
      for (int row = 0; row < PQntuples(result); ++row) {
        if (PQgetisnull(result, row, column) == 0 && PQgetlength(result, row, column) != Index(*length)) return false;
      }
    }
    ++column;
  }
  return true;
}

bool Rows::IsNull(std::size_t row, std::size_t column) const {
  return PQgetisnull(held_->result.get(), Index(row), Index(column)) != 0;
}

bool Rows::Bool(std::size_t row, std::size_t column) const { return Read(Value(*held_, row, column)) != 0; }

std::int64_t Rows::Int(std::size_t row, std::size_t column) const {
  const std::string_view bytes = Value(*held_, row, column);
  const std::uint64_t value = Read(bytes);
  if (bytes.size() == 2) return static_cast<std::int16_t>(value);
  return bytes.size() == 4 ? static_cast<std::int32_t>(value) : static_cast<std::int64_t>(value);
}

Key Rows::Uuid(std::size_t row, std::size_t column) const {
  const std::string_view bytes = Value(*held_, row, column);
  if (bytes.size() != 16) return {};
  return {.hi = Read(bytes.substr(0, 8)), .lo = Read(bytes.substr(8))};
}

std::string_view Rows::Bytes(std::size_t row, std::size_t column) const { return Value(*held_, row, column); }

}  // namespace weir::io::postgres
