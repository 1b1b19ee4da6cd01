// The records of a snapshot file (snapshot_file.h), as they lie on disk.
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "storage/memory/cell.h"

namespace weir::storage::memory::snapshot {

static_assert(std::endian::native == std::endian::little, "snapshots are written as they lie in memory");

inline constexpr char kMagic[8] = {'w', 'e', 'i', 'r', 'S', 'N', 'A', 'P'};

struct Header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t zero;
  std::int64_t created_at;
  std::uint64_t checksum;  // of the 24 bytes before it
};
static_assert(sizeof(Header) == 32);

enum class BlockType : std::uint32_t { kWords = 'W', kLists = 'L', kEnd = 'E' };

struct Block {
  BlockType type;
  std::uint32_t count;
  std::uint32_t payload_bytes;
  std::uint32_t zero;
  std::uint64_t checksum;  // of the 16 bytes before it and the payload, seeded with the block's place in the file
};
static_assert(sizeof(Block) == 24);

struct ListHeader {
  std::uint64_t key_hi;
  std::uint64_t key_lo;
  std::uint32_t kind;
  std::uint32_t words;
  std::int64_t expires;
};
static_assert(sizeof(ListHeader) == 32);

struct End {
  std::uint64_t words;
  std::uint64_t lists;
};
static_assert(sizeof(End) == 16 && sizeof(Cell) == 16);

// A block is closed when it has grown to this size; a single state may be larger, up to kMostPayload.
inline constexpr std::size_t kBlockPayload = std::size_t{256} << 10;
// The longest list state there is, a log of 2^20 entries of two words, fits.
inline constexpr std::size_t kMostPayload = std::size_t{32} << 20;

inline std::uint64_t ChecksumOf(const Header& header) { return XXH3_64bits(&header, offsetof(Header, checksum)); }

inline std::uint64_t ChecksumOf(const Block& block, const void* payload, std::uint64_t place) {
  const std::uint64_t head = XXH3_64bits_withSeed(&block, offsetof(Block, checksum), place);
  return XXH3_64bits_withSeed(payload, block.payload_bytes, head);
}

}  // namespace weir::storage::memory::snapshot
