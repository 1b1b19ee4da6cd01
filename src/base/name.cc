#include "base/name.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <new>
#include <utility>

namespace weir {

// The characters follow it.
struct Name::Text {
  std::atomic<std::uint32_t> references{1};
  std::uint32_t size = 0;
  std::uint32_t head = 0;
  std::atomic<bool> shown{false};

  char* chars() noexcept { return reinterpret_cast<char*>(this + 1); }
};

namespace {

Nanos SteadyNow() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Lingering {
  std::mutex mutex;
  std::deque<std::pair<Nanos, void*>> texts;  // since when; the oldest first
  std::size_t bytes = 0;
  std::atomic<Nanos (*)()> now{&SteadyNow};

  static Lingering& All() {
    static auto& all = *new Lingering;  // never destroyed: other threads may still let go of names
    return all;
  }
};

}  // namespace

Name Name::Of(std::string_view text, std::size_t head) {
  text = text.substr(0, UINT32_MAX);
  void* const room = ::operator new(sizeof(Text) + text.size());
  auto* const made = new (room) Text;
  made->size = static_cast<std::uint32_t>(text.size());
  made->head = static_cast<std::uint32_t>(std::min(head, text.size()));
  if (!text.empty()) std::memcpy(made->chars(), text.data(), text.size());
  return Name(reinterpret_cast<std::uintptr_t>(made));
}

Name::Name(const Name& other) noexcept : bits_(other.bits_) {
  if (bits_ != 0) text()->references.fetch_add(1, std::memory_order_relaxed);
}

Name Name::Head() const noexcept {
  Name head = *this;
  if (head.bits_ != 0) head.bits_ |= 1;
  return head;
}

const Name& Name::Shown() const noexcept {
  if (bits_ != 0) text()->shown.store(true, std::memory_order_relaxed);
  return *this;
}

std::string_view Name::view() const noexcept {
  if (bits_ == 0) return {};
  Text* const of = text();
  return {of->chars(), (bits_ & 1) != 0 ? of->head : of->size};
}

void Name::Drop() noexcept {
  Text* const of = text();
  if (of->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (!of->shown.load(std::memory_order_relaxed)) {
    ::operator delete(of);
    return;
  }
  Lingering& lingering = Lingering::All();
  const Nanos now = lingering.now.load()();
  {
    const std::scoped_lock lock(lingering.mutex);
    lingering.texts.emplace_back(now, of);
    lingering.bytes += sizeof(Text) + of->size;
  }
  FreeLingering(now);
}

void Name::FreeLingering(Nanos now) {
  Lingering& lingering = Lingering::All();
  const std::scoped_lock lock(lingering.mutex);
  while (!lingering.texts.empty() && now - lingering.texts.front().first > kLinger) {
    auto* const oldest = static_cast<Text*>(lingering.texts.front().second);
    lingering.bytes -= sizeof(Text) + oldest->size;
    ::operator delete(oldest);
    lingering.texts.pop_front();
  }
}

std::size_t Name::LingeringBytes() {
  Lingering& lingering = Lingering::All();
  const std::scoped_lock lock(lingering.mutex);
  return lingering.bytes;
}

void Name::SetClock(Nanos (*now)()) { Lingering::All().now.store(now != nullptr ? now : &SteadyNow); }

}  // namespace weir

fmt::format_context::iterator fmt::formatter<weir::Name>::format(const weir::Name& name,
                                                                 fmt::format_context& context) const {
  return fmt::formatter<std::string_view>::format(name.view(), context);
}
