#include "frontends/rls/http2/block_pool.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#ifdef __SANITIZE_ADDRESS__
#define WEIR_PLAIN_MALLOC
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR_PLAIN_MALLOC
#endif
#endif

namespace weir::rls {
namespace {

// Before each block; keeps what follows aligned as malloc does.
struct alignas(std::max_align_t) Header {
  std::size_t size;  // of what follows
};

constexpr std::size_t kStep = 32;
constexpr std::size_t kClasses = 20;  // blocks up to 640 bytes; larger ones are malloc's
constexpr std::uint32_t kKept = 256;  // of each class, at most

class Pool {
 public:
  Pool() = default;
  ~Pool() {
    for (List& list : lists_) {
      while (Block* const block = list.first) {
        list.first = block->next;
        std::free(HeaderOf(block));
      }
    }
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  static Header* HeaderOf(void* block) { return static_cast<Header*>(block) - 1; }

  void* Allocate(std::size_t size) {
    const std::size_t index = size == 0 ? 0 : (size - 1) / kStep;
    if (index < kClasses) {
      List& list = lists_[index];
      if (Block* const block = list.first) {
        list.first = block->next;
        --list.count;
        return block;
      }
      size = (index + 1) * kStep;
    } else if (size > SIZE_MAX - sizeof(Header)) {
      return nullptr;
    }
    void* const memory = std::malloc(sizeof(Header) + size);
    if (memory == nullptr) return nullptr;
    return new (memory) Header{size} + 1;
  }

  void Free(void* block) {
    if (block == nullptr) return;
    const std::size_t index = (HeaderOf(block)->size - 1) / kStep;
    if (index >= kClasses || lists_[index].count >= kKept) return std::free(HeaderOf(block));
    List& list = lists_[index];
    list.first = new (block) Block{list.first};
    ++list.count;
  }

 private:
  struct Block {
    Block* next;
  };
  struct List {
    Block* first = nullptr;
    std::uint32_t count = 0;
  };
  std::array<List, kClasses> lists_;
};

Pool& ThreadsPool() {
  thread_local Pool pool;
  return pool;
}

void* Malloc(std::size_t size, void*) { return ThreadsPool().Allocate(size); }
void Free(void* block, void*) { ThreadsPool().Free(block); }
void* Calloc(std::size_t count, std::size_t size, void*) {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) return nullptr;
  void* const block = ThreadsPool().Allocate(bytes);
  if (block != nullptr) std::memset(block, 0, bytes);
  return block;
}
void* Realloc(void* block, std::size_t size, void*) {
  Pool& pool = ThreadsPool();
  if (block == nullptr) return pool.Allocate(size);
  const std::size_t had = Pool::HeaderOf(block)->size;
  if (size <= had && size > had / 2) return block;
  void* const moved = pool.Allocate(size);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, block, std::min(had, size));
  pool.Free(block);
  return moved;
}

}  // namespace

nghttp2_mem* PooledMemory() {
#ifdef WEIR_PLAIN_MALLOC
  return nullptr;
#else
  static nghttp2_mem memory = {nullptr, Malloc, Free, Calloc, Realloc};
  return &memory;
#endif
}

}  // namespace weir::rls
