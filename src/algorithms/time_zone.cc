#include "algorithms/time_zone.h"

#include <absl/time/civil_time.h>
#include <absl/time/time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <string>
#include <unordered_map>

#include "algorithms/instant.h"

namespace weir::algorithms {
namespace {

constexpr std::size_t kMostZones = 4'096;

struct Zone {
  std::string name;
  absl::TimeZone zone;
};

// Entries are added under the mutex, never changed and never removed: readers only load a pointer.
struct Table {
  std::mutex mutex;
  std::unordered_map<std::string_view, std::uint16_t> by_name;
  std::array<std::atomic<const Zone*>, kMostZones> zones{};
  std::size_t size = 0;

  Table() { Add("UTC", absl::UTCTimeZone()); }

  std::uint16_t Add(std::string name, const absl::TimeZone& zone) {
    const auto* entry = new Zone{std::move(name), zone};
    const auto index = static_cast<std::uint16_t>(size++);
    by_name.emplace(entry->name, index);
    // release: a thread that reads the pointer sees the whole zone.
    zones[index].store(entry, std::memory_order_release);
    return index;
  }
};

Table& Zones() {
  // Lives as long as the process: other threads may still read it while it exits.
  static auto* const table = new Table;
  return *table;
}

// nullptr for an index that was not given out.
const Zone* FindZone(std::uint16_t index) {
  return index < kMostZones ? Zones().zones[index].load(std::memory_order_acquire) : nullptr;
}

// The library reads a file of that name: nothing may lead out of its directory.
bool IsPlainName(std::string_view name) {
  if (name.size() > 64 || name.front() == '/' || name.find("..") != std::string_view::npos || name == "localtime") {
    return false;
  }
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '+' || c == '/';
  });
}

Nanos ToNanos(absl::Time time) { return absl::ToUnixNanos(time); }

// Where the clocks reach this civil second for the first time, or jump over it.
absl::Time FirstReach(const absl::TimeZone& zone, absl::CivilSecond civil) {
  const absl::TimeZone::TimeInfo info = zone.At(civil);
  return info.kind == absl::TimeZone::TimeInfo::SKIPPED ? info.trans : info.pre;
}

// When the clocks changed: on from `from` (which they then skip) or back to `to` (which they then repeat).
Nanos TimeOf(const absl::TimeZone& zone, const absl::TimeZone::CivilTransition& transition) {
  const absl::TimeZone::TimeInfo info = zone.At(transition.to);
  return ToNanos(info.kind == absl::TimeZone::TimeInfo::UNIQUE ? info.pre : info.trans);
}

// Minutes and hours: by the offset in force, cut where it changes.
WindowBounds BoundsByOffset(const absl::TimeZone& zone, Nanos now, Nanos unit) {
  const absl::Time time = absl::FromUnixNanos(now);
  const Nanos offset = zone.At(time).offset * kSecond;
  const Nanos local = now + offset;
  const Nanos floor = local - ((local % unit) + unit) % unit;
  WindowBounds bounds{floor - offset, floor - offset + unit};
  absl::TimeZone::CivilTransition transition;
  if (zone.NextTransition(time, &transition)) {
    bounds.end = std::min(bounds.end, TimeOf(zone, transition));
  }
  // "Previous" is strictly before the whole second given; a change in the present second counts.
  if (zone.PrevTransition(absl::FromUnixSeconds(now / kSecond + 1), &transition)) {
    bounds.start = std::max(bounds.start, TimeOf(zone, transition));
  }
  return bounds;
}

// Unit: absl::CivilDay, CivilMonth or CivilYear, in steps of `step`.
template <typename Unit>
WindowBounds BoundsByCivil(const absl::TimeZone& zone, Nanos now, Unit unit, int step) {
  const auto begin = [&](Unit u) { return ToNanos(FirstReach(zone, absl::CivilSecond(u))); };
  // Clocks that go back over midnight bring an earlier date again after the new one has begun; a date that was skipped
  // is empty. Both are a step or two away.
  WindowBounds bounds{begin(unit), begin(unit + step)};
  for (int i = 0; i < 4 && bounds.start > now; ++i) {
    unit -= step;
    bounds = {begin(unit), bounds.start};
  }
  for (int i = 0; i < 4 && bounds.end <= now; ++i) {
    unit += step;
    bounds = {bounds.end, begin(unit + step)};
  }
  return bounds;
}

WindowBounds Compute(const absl::TimeZone& zone, Calendar calendar, Nanos now) {
  const absl::CivilSecond civil = zone.At(absl::FromUnixNanos(now)).cs;
  switch (calendar) {
    case Calendar::kMinute:
      return BoundsByOffset(zone, now, kMinute);
    case Calendar::kHour:
      return BoundsByOffset(zone, now, kHour);
    case Calendar::kDay:
      return BoundsByCivil(zone, now, absl::CivilDay(civil), 1);
    case Calendar::kWeek: {
      const absl::CivilDay day(civil);
      return BoundsByCivil(zone, now, absl::PrevWeekday(day + 1, absl::Weekday::monday), 7);
    }
    case Calendar::kMonth:
      return BoundsByCivil(zone, now, absl::CivilMonth(civil), 1);
    case Calendar::kYear:
      return BoundsByCivil(zone, now, absl::CivilYear(civil), 1);
    case Calendar::kNone:
    case Calendar::kEpoch:
      break;
  }
  return {now, now};
}

std::atomic<Nanos> wall_ahead{0};

struct Remembered {
  std::uint32_t key = 0;
  WindowBounds bounds;
};

}  // namespace

Result<std::uint16_t> ZoneIndex(std::string_view iana_name) {
  if (iana_name.empty()) return 0;
  Table& table = Zones();
  const std::lock_guard lock(table.mutex);
  if (const auto found = table.by_name.find(iana_name); found != table.by_name.end()) return found->second;
  absl::TimeZone zone;
  std::string name(iana_name);
  if (!IsPlainName(iana_name) || !absl::LoadTimeZone(name, &zone)) {
    return Fail(ErrorCode::kInvalidArgument, "unknown time zone '" + name + "'");
  }
  if (table.size == kMostZones) return Fail(ErrorCode::kResourceExhausted, "too many different time zones");
  return table.Add(std::move(name), zone);
}

std::string_view ZoneName(std::uint16_t index) {
  const Zone* const zone = FindZone(index);
  return zone == nullptr ? std::string_view("UTC") : std::string_view(zone->name);
}

namespace {

// Of a unit of the calendar, by the wall clock.
WindowBounds BoundsOfWall(const Limit& limit, Nanos now) {
  // A look-up in a zone's history takes hundreds of nanoseconds; the answer holds until the unit ends.
  static thread_local std::array<Remembered, 16> remembered;
  const std::uint32_t key = (std::uint32_t{limit.zone} << 8) | static_cast<std::uint32_t>(limit.calendar);
  Remembered& slot = remembered[(limit.zone * 7U + static_cast<unsigned>(limit.calendar)) % remembered.size()];
  if (slot.key == key && slot.bounds.start <= now && now < slot.bounds.end) return slot.bounds;
  const Zone* const zone = FindZone(limit.zone);
  if (zone == nullptr) return Compute(absl::UTCTimeZone(), limit.calendar, now);
  slot = {key, Compute(zone->zone, limit.calendar, now)};
  return slot.bounds;
}

}  // namespace

WindowBounds CalendarBounds(const Limit& limit, Nanos now) {
  now = ClampNow(now);
  if (limit.calendar == Calendar::kNone) return {now, now + limit.window};
  if (limit.calendar == Calendar::kEpoch) {
    const Nanos length = limit.window > 0 ? limit.window : 1;
    const Nanos start = now - now % length;  // `now` is not before 1970
    return {start, start + length};
  }
  const Nanos ahead = wall_ahead.load(std::memory_order_relaxed);
  // A wall clock that says something outside of our time is not believed.
  if (ahead != 0 && ClampNow(now + ahead) == now + ahead) [[unlikely]] {
    const WindowBounds bounds = BoundsOfWall(limit, now + ahead);
    return {bounds.start - ahead, bounds.end - ahead};
  }
  return BoundsOfWall(limit, now);
}

void SetWallAhead(Nanos ahead) {
  // A grid of seconds is what aligned_window.h counts on.
  const Nanos half = ahead < 0 ? -kSecond / 2 : kSecond / 2;
  const Nanos bounded = std::clamp(ahead, -kLatestNow, kLatestNow);
  const Nanos whole = (bounded + half) / kSecond * kSecond;
  if (whole != 0) time_zone_internal::wall_was_set.store(true, std::memory_order_relaxed);
  wall_ahead.store(whole, std::memory_order_relaxed);
}

Nanos PresentEnd(const Limit& limit, Nanos end, Nanos /*now*/) {
  const WindowBounds bounds = CalendarBounds(limit, end);
  const Nanos near = std::min(10 * kSecond, (bounds.end - bounds.start) / 64);
  return end > bounds.start && bounds.end - end <= near ? bounds.end : bounds.start;
}

}  // namespace weir::algorithms
