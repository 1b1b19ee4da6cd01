#include "frontends/rls/http2/inflate.h"

#include <zlib.h>

#include <algorithm>

namespace weir::rls {
namespace {

// One a thread: unpacking takes 40 KiB of tables, which are then there already.
class Inflater {
 public:
  Inflater() {
    // 15: the largest window; 32: gzip or zlib, told by the first bytes.
    usable_ = inflateInit2(&stream_, 15 + 32) == Z_OK;
  }
  ~Inflater() {
    if (usable_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream* Begin() { return usable_ && inflateReset(&stream_) == Z_OK ? &stream_ : nullptr; }

 private:
  z_stream stream_{};
  bool usable_ = false;
};

}  // namespace

Encoding EncodingOf(std::string_view name) {
  if (name == "identity") return Encoding::kIdentity;
  if (name == "gzip") return Encoding::kGzip;
  if (name == "deflate") return Encoding::kDeflate;
  return Encoding::kUnknown;
}

InflateResult Inflate(std::string_view packed, std::size_t most_bytes, std::string* out) {
  constexpr std::size_t kFirstRoom = 1'024;
  thread_local Inflater inflater;
  out->clear();
  z_stream* stream = inflater.Begin();
  if (stream == nullptr || packed.empty()) return InflateResult::kBroken;
  // zlib does not write there; its interface is older than const.
  stream->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream->avail_in = static_cast<uInt>(packed.size());
  std::size_t filled = 0;
  for (;;) {
    // One byte more than is allowed tells a message that just fits from one that does not.
    if (filled == out->size()) out->resize(std::min(most_bytes + 1, std::max(kFirstRoom, filled * 2)));
    stream->next_out = reinterpret_cast<Bytef*>(out->data() + filled);
    stream->avail_out = static_cast<uInt>(out->size() - filled);
    const int result = inflate(stream, Z_NO_FLUSH);
    filled = out->size() - stream->avail_out;
    if (filled > most_bytes) {
      out->clear();
      return InflateResult::kTooLarge;
    }
    if (result == Z_STREAM_END) break;
    if (result != Z_OK || (stream->avail_in == 0 && stream->avail_out != 0)) {
      out->clear();
      return InflateResult::kBroken;
    }
  }
  out->resize(filled);
  return stream->avail_in == 0 ? InflateResult::kOk : InflateResult::kBroken;
}

}  // namespace weir::rls
