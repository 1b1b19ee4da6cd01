// What operators and migrations do with counter states themselves, past the rules: look through them, read, remove,
// export and import them. Slow by design: calls wait for the store, and are made on workers, never on a deciding
// thread.
//
// A state is handed out as the store keeps it (StateForm). It can be taken in again by a store that keeps that form:
// exactly, to the nanosecond. Between stores of different forms a count is carried by number, through the contract of
// store.h: kPeek of 0 says what is used, kAssign writes that down elsewhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "algorithms/algorithm.h"
#include "base/clock.h"
#include "base/hash.h"
#include "weir/result.h"

namespace weir::storage {

// How a state is written down. A number, once given, keeps its meaning; another layout gets another number.
enum class StateForm : std::uint8_t {
  kWord = 1,      // memory: one word, of a bucket or an aligned window; which of them only the rule knows
  kList = 2,      // memory: a kind and its words
  kRedis = 3,     // redis: the value under its key, as lua/ writes it (key_name.h: v1)
  kPostgres = 4,  // postgres: a kind, and its word or its words
};

// Which state. A store names it by what it knows: memory by the key alone, Redis by rule and subject.
struct StateName {
  std::string rule;     // Item::rule; empty: not known here
  std::string subject;  // Item::subject; empty: not known here
  Key key;              // of a word in memory only `hi` is known; of a name in Redis that is plain text, nothing
  std::string place;    // what the store itself calls it: from Scan(), for the same store. Empty: found by the rest
  friend bool operator==(const StateName&, const StateName&) = default;
};

struct StateRecord {
  StateForm form{};
  StateName name;
  algorithms::Kind kind{};  // kList, kPostgres
  Nanos expires = 0;        // by the clock that the store goes by; from then on it says nothing
  algorithms::Words words;  // kWord: one; kList; kPostgres: one where the kind has a word
  std::string bytes;        // kRedis
  friend bool operator==(const StateRecord&, const StateRecord&) = default;
};

// The longest record; no state of any algorithm comes near it.
inline constexpr std::size_t kMostStateBytes = std::size_t{64} << 20;

// A record as bytes, for files and wires: version, fields with their lengths, a checksum. Equal on every machine.
std::string EncodeState(const StateRecord& record);
// kDataLoss: damaged, cut off, or more than one record. kFailedPrecondition: of a version that is not known here.
Result<StateRecord> DecodeState(std::string_view bytes);

// Thread-safe.
class Admin {
 public:
  virtual ~Admin() = default;

  // A look through all states, some at a time. `cursor`: empty to begin, then what the page before said, until that is
  // empty; it is the store's own business what it says, and good for this store only, also after a pause. A state that
  // is there all the while is found at least once, maybe twice; one that comes or goes meanwhile may be missed. Expired
  // states are left out. A page holds about `most` (1..10,000) states, maybe none while there are more pages.
  // kInvalidArgument: a cursor or number that cannot be.
  struct Page {
    std::vector<StateRecord> states;
    std::string next;
  };
  virtual Result<Page> Scan(std::string_view cursor, std::size_t most, Nanos now) = 0;

  // nullopt: there is none, or it has expired.
  virtual Result<std::optional<StateRecord>> Get(const StateName& name, Nanos now) = 0;

  // Forgets the state. False: there was none.
  virtual Result<bool> Reset(const StateName& name) = 0;

  // Takes states in. One that is there already stays if it lives at least as long (memory), or at all (redis):
  // importing twice changes nothing. Those that have expired, and those for which there is no room, are left out.
  // kFailedPrecondition: a record of a form that is not this store's; nothing of the call was taken in then.
  struct Imported {
    std::uint64_t taken = 0;
    std::uint64_t present = 0;  // left as it was
    std::uint64_t expired = 0;
    std::uint64_t dropped = 0;  // no room
  };
  virtual Result<Imported> Import(std::span<const StateRecord> states, Nanos now) = 0;
};

inline constexpr std::size_t kMostScanned = 10'000;

}  // namespace weir::storage
