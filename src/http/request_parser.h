// HTTP/1.1 and 1.0 requests out of a byte stream, strictly by RFC 9112. No I/O, no copies of heads.
//
// What another hop could read differently is refused and not mended: a Content-Length beside Transfer-Encoding, a
// repeated or malformed Content-Length, a transfer coding other than a single "chunked", bare CR or LF, folded lines,
// white space before a colon, control characters, a missing or repeated Host. After an error the stream cannot be read
// any further.
//
// Chunked bodies are decoded; chunk extensions and trailers are checked and ignored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weir/request.h"

namespace weir::http {

struct ParserLimits {
  std::uint32_t max_request_line = 8'192;    // bytes; longer: 414
  std::uint32_t max_header_bytes = 49'152;   // bytes of the whole head; more: 431
  std::uint32_t max_header_count = 100;      // more: 431
  std::uint32_t max_body_bytes = 1'048'576;  // more: 413. Chunk framing may take another 16 KiB
};

// A fault of the stream: the answer's status, and a sentence with static storage.
struct ParseError {
  int status = 0;
  std::string_view detail;
};

struct RequestHead {
  std::string_view method;
  std::string_view target;  // as sent, without scheme and authority: "/v1/check?status=200"
  int minor_version = 1;    // HTTP/1.x
  bool keep_alive = true;   // what the client wants
  bool has_content_encoding = false;
  std::vector<Attribute> headers;  // in order; values without surrounding white space
};

// One request after another. Not thread-safe.
class RequestParser {
 public:
  enum class Status : std::uint8_t { kIncomplete, kComplete, kError };

  explicit RequestParser(const ParserLimits& limits) : limits_(limits) {}

  // `input` starts with the first byte of the request, which must not change from call to call until Reset(): it is
  // shown again with more behind it. Nothing is scanned twice. The result does not depend on how the stream was cut.
  Status Parse(std::string_view input);

  // After kComplete, until Reset() or until `input` goes away. `body` of a chunked request lives in the parser.
  const RequestHead& head() const { return head_; }
  std::string_view body() const { return body_; }
  std::size_t size() const { return size_; }               // bytes of input that the request took
  std::string_view raw_head() const { return raw_head_; }  // what every view of head() points into

  // After kIncomplete: the head asks for "100 Continue" before the body comes.
  bool expects_continue() const { return phase_ == Phase::kBody && expect_continue_; }
  // After kIncomplete: something of a request has arrived.
  bool started() const { return started_; }
  const ParseError& error() const { return error_; }

  // Ready for the next request.
  void Reset();

 private:
  enum class Phase : std::uint8_t { kHead, kBody, kFailed };
  enum class Framing : std::uint8_t { kNone, kLength, kChunked };
  enum class ChunkPhase : std::uint8_t { kSize, kData, kTrailer };

  Status Fail(int status, std::string_view detail);
  bool Refuse(int status, std::string_view detail);  // Fail; returns false
  Status ScanHead(std::string_view input);
  bool ParseHead(std::string_view input);
  bool ParseRequestLine(std::string_view line);
  bool ParseField(std::string_view line);
  bool NoteField(std::string_view name, std::string_view value);
  bool NoteConnection(std::string_view value);
  bool SettleFraming();
  Status ReadChunks(std::string_view input);
  // The line that starts at chunk_pos_, without its CRLF. kComplete: `line` is set and chunk_pos_ is behind it.
  Status ReadChunkLine(std::string_view input, std::size_t limit, std::string_view& line);
  Status Complete(std::string_view input, std::size_t size);

  const ParserLimits limits_;
  Phase phase_ = Phase::kHead;
  bool started_ = false;

  // kHead: where the current line starts and up to where no line end was found.
  std::size_t head_start_ = 0;  // behind a CRLF that a sloppy client sent after its last body
  std::size_t line_start_ = 0;
  std::size_t scanned_ = 0;
  std::uint32_t lines_ = 0;

  // kBody.
  const char* base_ = nullptr;  // where head_'s views point; they are made again when the input has moved
  std::size_t head_end_ = 0;
  Framing framing_ = Framing::kNone;
  std::uint64_t content_length_ = 0;
  bool expect_continue_ = false;
  ChunkPhase chunk_phase_ = ChunkPhase::kSize;
  std::size_t chunk_pos_ = 0;
  std::size_t chunk_scanned_ = 0;
  std::size_t chunk_left_ = 0;
  std::size_t trailer_bytes_ = 0;
  std::string chunked_body_;

  // Which fields of the head were seen.
  bool seen_length_ = false, seen_coding_ = false, seen_host_ = false, seen_close_ = false, seen_keep_alive_ = false;
  bool has_expect_ = false;

  RequestHead head_;
  std::string_view body_, raw_head_;
  std::size_t size_ = 0;
  ParseError error_;
};

}  // namespace weir::http
