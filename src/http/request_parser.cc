#include "http/request_parser.h"

#include <array>
#include <cstring>
#include <utility>

#include "base/ascii.h"

namespace weir::http {
namespace {

constexpr std::size_t kMaxChunkLine = 256;
constexpr std::size_t kMaxChunkFraming = 16'384;

constexpr std::array<bool, 256> MakeTokenTable() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
    table[static_cast<unsigned char>(c)] = true;
  }
  return table;
}
constexpr std::array<bool, 256> MakeValueTable() {
  std::array<bool, 256> table{};
  for (std::size_t c = 0x20; c < 256; ++c) table[c] = c != 0x7f;
  table['\t'] = true;
  return table;
}
constexpr auto kToken = MakeTokenTable();
constexpr auto kValue = MakeValueTable();

bool IsToken(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (!kToken[static_cast<unsigned char>(c)]) return false;
  }
  return true;
}

bool IsFieldValue(std::string_view text) {
  bool good = true;
  for (const char c : text) good &= kValue[static_cast<unsigned char>(c)];
  return good;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::size_t FindLineFeed(std::string_view input, std::size_t from) {
  if (from >= input.size()) return std::string_view::npos;
  const void* found = std::memchr(input.data() + from, '\n', input.size() - from);
  return found == nullptr ? std::string_view::npos
                          : static_cast<std::size_t>(static_cast<const char*>(found) - input.data());
}

// The part of a target that names the resource here; nullopt-like empty view when it is of no form that a server
// serves.
std::string_view OriginForm(std::string_view target) {
  if (target.starts_with('/') || target == "*") return target;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (target.size() <= scheme.size() || !EqualsIgnoreCase(target.substr(0, scheme.size()), scheme)) continue;
    const std::size_t slash = target.find_first_of("/?", scheme.size());
    if (slash == scheme.size()) return {};
    if (slash == std::string_view::npos) return "/";
    return target[slash] == '/' ? target.substr(slash) : std::string_view{};
  }
  return {};
}

}  // namespace

void RequestParser::Reset() {
  phase_ = Phase::kHead;
  started_ = false;
  head_start_ = line_start_ = scanned_ = 0;
  lines_ = 0;
  base_ = nullptr;
  head_end_ = 0;
  framing_ = Framing::kNone;
  content_length_ = 0;
  expect_continue_ = false;
  chunk_phase_ = ChunkPhase::kSize;
  chunk_pos_ = chunk_scanned_ = chunk_left_ = trailer_bytes_ = 0;
  // A connection that once sent a large body does not keep the room for it.
  if (chunked_body_.capacity() > 16'384) {
    std::string().swap(chunked_body_);
  } else {
    chunked_body_.clear();
  }
  body_ = raw_head_ = {};
  size_ = 0;
}

RequestParser::Status RequestParser::Fail(int status, std::string_view detail) {
  phase_ = Phase::kFailed;
  error_ = {status, detail};
  return Status::kError;
}

bool RequestParser::Refuse(int status, std::string_view detail) {
  Fail(status, detail);
  return false;
}

RequestParser::Status RequestParser::Parse(std::string_view input) {
  if (phase_ == Phase::kFailed) return Status::kError;
  if (phase_ == Phase::kHead) {
    const Status status = ScanHead(input);
    if (status != Status::kComplete) return status;
    if (!ParseHead(input) || !SettleFraming()) return Status::kError;
    phase_ = Phase::kBody;
  }
  switch (framing_) {
    case Framing::kNone:
      return Complete(input, head_end_);
    case Framing::kLength:
      if (input.size() - head_end_ < content_length_) return Status::kIncomplete;
      body_ = input.substr(head_end_, static_cast<std::size_t>(content_length_));
      return Complete(input, head_end_ + static_cast<std::size_t>(content_length_));
    case Framing::kChunked:
      return ReadChunks(input);
  }
  return Status::kIncomplete;
}

// Finds the end of the head and holds it to its bounds; says nothing yet about what its lines mean.
RequestParser::Status RequestParser::ScanHead(std::string_view input) {
  if (!started_) {
    if (input.empty() || input == "\r") return Status::kIncomplete;
    // RFC 9112 2.2: one empty line before a request line is forgiven.
    if (input.starts_with("\r\n")) head_start_ = line_start_ = scanned_ = 2;
    if (input.size() == head_start_) return Status::kIncomplete;
    started_ = true;
  }
  while (true) {
    const std::size_t end = FindLineFeed(input, scanned_);
    const std::size_t reach = end == std::string_view::npos ? input.size() : end;
    if (lines_ == 0 && reach - line_start_ > limits_.max_request_line) return Fail(414, "the request line is too long");
    if (reach - head_start_ > limits_.max_header_bytes) return Fail(431, "the head of the request is too large");
    if (end == std::string_view::npos) {
      scanned_ = input.size();
      return Status::kIncomplete;
    }
    if (end == line_start_ || input[end - 1] != '\r') return Fail(400, "a line must end with CR LF");
    const bool empty = end == line_start_ + 1;
    line_start_ = scanned_ = end + 1;
    if (empty) {
      if (lines_ == 0) return Fail(400, "the request line is missing");
      head_end_ = end + 1;
      return Status::kComplete;
    }
    if (lines_++ > limits_.max_header_count) return Fail(431, "the request has too many headers");
  }
}

bool RequestParser::ParseHead(std::string_view input) {
  base_ = input.data();
  raw_head_ = input.substr(0, head_end_);
  seen_length_ = seen_coding_ = seen_host_ = seen_close_ = seen_keep_alive_ = has_expect_ = false;
  head_.has_content_encoding = false;
  head_.headers.clear();
  std::size_t at = input.find('\n', head_start_);
  if (!ParseRequestLine(input.substr(head_start_, at - 1 - head_start_))) return false;
  for (++at; at + 2 < head_end_;) {
    const std::size_t end = FindLineFeed(input, at);
    if (!ParseField(input.substr(at, end - 1 - at))) return false;
    at = end + 1;
  }
  return true;
}

bool RequestParser::ParseRequestLine(std::string_view line) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last)
    return Refuse(400, "the request line must be: METHOD TARGET HTTP/1.1");
  const std::string_view version = line.substr(last + 1);
  if (version.size() != 8 || !version.starts_with("HTTP/") || version[5] < '0' || version[5] > '9' ||
      version[6] != '.' || version[7] < '0' || version[7] > '9')
    return Refuse(400, "the request line must end with the HTTP version");
  head_.method = line.substr(0, first);
  if (!IsToken(head_.method)) return Refuse(400, "the method must be a token");
  if (version[5] != '1') return Refuse(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
  head_.minor_version = version[7] - '0';
  const std::string_view target = line.substr(first + 1, last - first - 1);
  for (const char c : target) {
    if (c <= ' ' || c >= 0x7f) return Refuse(400, "the request target holds a character that must be percent-encoded");
  }
  head_.target = OriginForm(target);
  if (head_.target.empty()) return Refuse(400, "the request target must be a path or an http URL");
  return true;
}

bool RequestParser::ParseField(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') return Refuse(400, "folded header lines are not accepted");
  std::size_t colon = 0;
  while (colon < line.size() && kToken[static_cast<unsigned char>(line[colon])]) ++colon;
  if (colon == 0 || colon == line.size() || line[colon] != ':')
    return Refuse(400, "a header line must be a name, a colon and a value, with no white space before the colon");
  const std::string_view value = Trim(line.substr(colon + 1));
  if (!IsFieldValue(value)) return Refuse(400, "a header value holds a control character");
  head_.headers.push_back({line.substr(0, colon), value});
  return NoteField(line.substr(0, colon), value);
}

// The few fields that decide how the message is read.
bool RequestParser::NoteField(std::string_view name, std::string_view value) {
  switch (name.size()) {
    case 4:
      if (!EqualsIgnoreCase(name, "host")) return true;
      if (std::exchange(seen_host_, true)) return Refuse(400, "more than one Host header");
      return true;
    case 6:
      if (!EqualsIgnoreCase(name, "expect")) return true;
      if (!EqualsIgnoreCase(value, "100-continue")) return Refuse(417, "the only expectation met here is 100-continue");
      has_expect_ = true;
      return true;
    case 10:
      return !EqualsIgnoreCase(name, "connection") || NoteConnection(value);
    case 14: {
      if (!EqualsIgnoreCase(name, "content-length")) return true;
      if (std::exchange(seen_length_, true)) return Refuse(400, "more than one Content-Length header");
      if (value.empty() || value.size() > 19) return Refuse(400, "Content-Length must be a decimal number");
      content_length_ = 0;
      for (const char c : value) {
        if (c < '0' || c > '9') return Refuse(400, "Content-Length must be a decimal number");
        content_length_ = content_length_ * 10 + static_cast<std::uint64_t>(c - '0');
      }
      return true;
    }
    case 16:
      if (!EqualsIgnoreCase(name, "content-encoding")) return true;
      head_.has_content_encoding |= !EqualsIgnoreCase(value, "identity");
      return true;
    case 17:
      if (!EqualsIgnoreCase(name, "transfer-encoding")) return true;
      if (std::exchange(seen_coding_, true)) return Refuse(400, "more than one Transfer-Encoding header");
      if (!EqualsIgnoreCase(value, "chunked")) return Refuse(501, "the only transfer coding known here is chunked");
      return true;
    default:
      return true;
  }
}

bool RequestParser::NoteConnection(std::string_view value) {
  while (!value.empty()) {
    const std::size_t comma = value.find(',');
    const std::string_view option = Trim(value.substr(0, comma));
    if (EqualsIgnoreCase(option, "close")) seen_close_ = true;
    if (EqualsIgnoreCase(option, "keep-alive")) seen_keep_alive_ = true;
    if (comma == std::string_view::npos) break;
    value.remove_prefix(comma + 1);
  }
  return true;
}

bool RequestParser::SettleFraming() {
  if (head_.minor_version >= 1 && !seen_host_) return Refuse(400, "the Host header is missing");
  if (seen_coding_ && seen_length_) return Refuse(400, "Content-Length beside Transfer-Encoding");
  if (seen_coding_ && head_.minor_version == 0) return Refuse(400, "Transfer-Encoding in an HTTP/1.0 request");
  if (seen_length_ && content_length_ > limits_.max_body_bytes) return Refuse(413, "the body is too large");
  head_.keep_alive = !seen_close_ && (head_.minor_version >= 1 || seen_keep_alive_);
  framing_ = seen_coding_ ? Framing::kChunked : seen_length_ && content_length_ > 0 ? Framing::kLength : Framing::kNone;
  expect_continue_ = has_expect_ && head_.minor_version >= 1 && framing_ != Framing::kNone;
  chunk_pos_ = chunk_scanned_ = head_end_;
  return true;
}

RequestParser::Status RequestParser::ReadChunkLine(std::string_view input, std::size_t limit, std::string_view& line) {
  const std::size_t end = FindLineFeed(input, chunk_scanned_);
  const std::size_t reach = end == std::string_view::npos ? input.size() : end;
  if (reach - chunk_pos_ > limit) return Fail(400, "a line between chunks is too long");
  if (end == std::string_view::npos) {
    chunk_scanned_ = input.size();
    return Status::kIncomplete;
  }
  if (end == chunk_pos_ || input[end - 1] != '\r') return Fail(400, "a line must end with CR LF");
  line = input.substr(chunk_pos_, end - 1 - chunk_pos_);
  if (!IsFieldValue(line)) return Fail(400, "a line between chunks holds a control character");
  chunk_pos_ = chunk_scanned_ = end + 1;
  return Status::kComplete;
}

RequestParser::Status RequestParser::ReadChunks(std::string_view input) {
  while (true) {
    if (chunk_pos_ - head_end_ > limits_.max_body_bytes + kMaxChunkFraming) {
      return Fail(413, "the chunks of the body are too small for its size");
    }
    std::string_view line;
    switch (chunk_phase_) {
      case ChunkPhase::kSize: {
        const Status status = ReadChunkLine(input, kMaxChunkLine, line);
        if (status != Status::kComplete) return status;
        std::size_t digits = 0;
        std::uint64_t size = 0;
        for (; digits < line.size() && HexDigit(line[digits]) >= 0; ++digits) {
          if (digits == 15) return Fail(400, "a chunk size has too many digits");
          size = size * 16 + static_cast<std::uint64_t>(HexDigit(line[digits]));
        }
        if (digits == 0 || (digits < line.size() && line[digits] != ';')) {
          return Fail(400, "a chunk size must be a hexadecimal number");
        }
        if (size + chunked_body_.size() > limits_.max_body_bytes) return Fail(413, "the body is too large");
        chunk_left_ = static_cast<std::size_t>(size);
        chunk_phase_ = size == 0 ? ChunkPhase::kTrailer : ChunkPhase::kData;
        break;
      }
      case ChunkPhase::kData:
        if (input.size() - chunk_pos_ < chunk_left_ + 2) return Status::kIncomplete;
        if (input.substr(chunk_pos_ + chunk_left_, 2) != "\r\n") return Fail(400, "a chunk must end with CR LF");
        chunked_body_.append(input.substr(chunk_pos_, chunk_left_));
        chunk_pos_ += chunk_left_ + 2;
        chunk_scanned_ = chunk_pos_;
        chunk_phase_ = ChunkPhase::kSize;
        break;
      case ChunkPhase::kTrailer: {
        const std::size_t before = chunk_pos_;
        const Status status = ReadChunkLine(input, limits_.max_request_line, line);
        if (status != Status::kComplete) return status;
        if (line.empty()) {
          body_ = chunked_body_;
          return Complete(input, chunk_pos_);
        }
        trailer_bytes_ += chunk_pos_ - before;
        if (trailer_bytes_ > limits_.max_request_line) return Fail(431, "the trailers are too large");
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos || !IsToken(line.substr(0, colon))) {
          return Fail(400, "a trailer line must be a name, a colon and a value");
        }
        break;
      }
    }
  }
}

RequestParser::Status RequestParser::Complete(std::string_view input, std::size_t size) {
  if (input.data() != base_) ParseHead(input);
  size_ = size;
  return Status::kComplete;
}

}  // namespace weir::http
