#include "management/rest/idempotency.h"

#include <openssl/sha.h>

#include <array>

namespace weir::management::rest {
namespace {

std::string NameOf(std::string_view who, std::string_view key) {
  std::string name = std::to_string(who.size()) + ':';
  return name.append(who).append(key);
}

std::string Digest(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::size_t SizeOf(const ApiResponse& answer) {
  std::size_t size = answer.body.size();
  for (const auto& [name, value] : answer.headers) size += name.size() + value.size();
  return size;
}

}  // namespace

IdempotencyTable::Begun IdempotencyTable::Begin(std::string_view who, std::string_view key, std::string_view request,
                                                Nanos now) {
  std::string name = NameOf(who, key);
  std::string digest = Digest(request);
  const std::lock_guard lock(mutex_);
  if (const auto found = by_name_.find(name); found != by_name_.end()) {
    const Entry& entry = *found->second;
    if (!entry.answer || entry.until > now) {
      if (entry.digest != digest) return {State::kOther, {}};
      if (!entry.answer) return {State::kRunning, {}};
      return {State::kAnswered, entry.answer};
    }
    Erase(found->second);
  }
  MakeRoom(now);
  entries_.push_back({.name = name, .digest = std::move(digest), .answer = {}, .until = 0});
  by_name_.emplace(std::move(name), std::prev(entries_.end()));
  return {State::kNew, {}};
}

void IdempotencyTable::Finish(std::string_view who, std::string_view key, const ApiResponse& answer, Nanos now) {
  const std::lock_guard lock(mutex_);
  const auto found = by_name_.find(NameOf(who, key));
  if (found == by_name_.end()) return;
  found->second->answer = answer;
  found->second->until = now + kKept;
  bytes_ += SizeOf(answer);
  MakeRoom(now);
}

void IdempotencyTable::Abandon(std::string_view who, std::string_view key) {
  const std::lock_guard lock(mutex_);
  if (const auto found = by_name_.find(NameOf(who, key)); found != by_name_.end()) Erase(found->second);
}

// What is being done stays: there are no more of those than workers.
void IdempotencyTable::MakeRoom(Nanos now) {
  for (auto one = entries_.begin(); one != entries_.end();) {
    const auto next = std::next(one);
    const bool full = entries_.size() >= kMost || bytes_ > kMostBytes;
    if (one->answer && !full && one->until > now) return;
    if (one->answer) Erase(one);
    one = next;
  }
}

void IdempotencyTable::Erase(Entries::iterator at) {
  if (at->answer) bytes_ -= SizeOf(*at->answer);
  by_name_.erase(at->name);
  entries_.erase(at);
}

}  // namespace weir::management::rest
