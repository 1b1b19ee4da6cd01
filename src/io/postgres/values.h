// What a statement is given and what it answers, in PostgreSQL's binary formats: numbers and arrays travel as bytes, so
// nothing is printed, parsed or quoted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"

namespace weir::io::postgres {

// The types that are spoken here, by their object ids (pg_type.dat; the same in every version).
enum class Type : std::uint32_t {
  kBool = 16,
  kBytes = 17,
  kInt64 = 20,
  kInt16 = 21,
  kInt32 = 23,
  kText = 25,
  kUuid = 2950,
  kBytesArray = 1001,
  kInt16Array = 1005,
  kInt64Array = 1016,
  kUuidArray = 2951,
};

// The values for $1, $2 and so on, in order. A Key is a uuid: `hi` first, each with its highest byte first, so that
// uuids are ordered as (hi, lo).
class Params {
 public:
  struct Value {
    Type type;
    std::string bytes;
  };

  Params& Add(std::int64_t value);
  Params& Add(std::string_view text);
  Params& Add(const Key& key);
  Params& AddBytes(std::string_view bytes);
  Params& Add(std::span<const Key> keys);
  Params& Add(std::span<const std::int64_t> values);
  Params& Add(std::span<const std::int16_t> values);
  // nullopt: NULL.
  Params& Add(std::span<const std::optional<std::string>> values);

  const std::vector<Value>& values() const { return values_; }

 private:
  std::vector<Value> values_;
};

// `text` lives as long as the statement waits.
struct Statement {
  std::string_view text;
  Params params{};
};

// The rows that one statement answered. Cheap to copy.
class Rows {
 public:
  // Holds the result of libpq that it is made of; only this folder makes one.
  struct Held;

  Rows() = default;
  explicit Rows(std::shared_ptr<const Held> held) : held_(std::move(held)) {}

  std::size_t size() const;
  // Whether these are the columns, by type, each as long as its type says. The getters below are for columns so found.
  bool Have(std::initializer_list<Type> columns) const;
  // Row and column are in range. NULL is 0, false or empty.
  bool IsNull(std::size_t row, std::size_t column) const;
  bool Bool(std::size_t row, std::size_t column) const;
  std::int64_t Int(std::size_t row, std::size_t column) const;  // kInt16, kInt32, kInt64
  Key Uuid(std::size_t row, std::size_t column) const;
  std::string_view Bytes(std::size_t row, std::size_t column) const;  // kBytes, kText; lives as long as the rows

 private:
  std::shared_ptr<const Held> held_;
};

// What the server said instead of an answer.
struct ServerError {
  std::string code;     // SQLSTATE: five characters
  std::string message;  // one line
};

}  // namespace weir::io::postgres
