// Shared ownership in 8 bytes: the count is part of the object. For what there may be millions of; elsewhere
// std::shared_ptr does.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace weir {

// A base of what CountedRef points to. A copy of an object begins with a count of its own.
class Counted {
 public:
  Counted() = default;
  Counted(const Counted& /*other*/) noexcept {}
  Counted& operator=(const Counted& /*other*/) noexcept { return *this; }

  // Whether the one who asks, and has a reference, is the only one who has: then nobody else can get one meanwhile.
  bool unique() const noexcept { return references_.load(std::memory_order_acquire) == 1; }

 private:
  template <typename T>
  friend class CountedRef;
  mutable std::atomic<std::uint32_t> references_{0};
};

// A reference to a T made by MakeCounted, or nullptr. The last one deletes it: as a T, unless its destructor is
// virtual. As thread-safe as std::shared_ptr.
template <typename T>
class CountedRef {
 public:
  CountedRef() noexcept = default;
  CountedRef(std::nullptr_t) noexcept {}  // NOLINT(google-explicit-constructor): as std::shared_ptr
  explicit CountedRef(T* object) noexcept : object_(object) { Take(); }
  CountedRef(const CountedRef& other) noexcept : object_(other.object_) { Take(); }
  CountedRef(CountedRef&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <typename U>
    requires std::is_convertible_v<U*, T*>
  CountedRef(const CountedRef<U>& other) noexcept : object_(other.get()) {  // NOLINT(google-explicit-constructor)
    Take();
  }
  CountedRef& operator=(CountedRef other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~CountedRef() {
    if (object_ != nullptr && object_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete object_;
  }

  T* get() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  friend bool operator==(const CountedRef& a, const CountedRef& b) noexcept { return a.object_ == b.object_; }
  friend bool operator==(const CountedRef& a, std::nullptr_t) noexcept { return a.object_ == nullptr; }

 private:
  void Take() const noexcept {
    if (object_ != nullptr) object_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  T* object_ = nullptr;
};

template <typename T, typename... Args>
CountedRef<T> MakeCounted(Args&&... args) {
  return CountedRef<T>(new T(std::forward<Args>(args)...));
}

}  // namespace weir
