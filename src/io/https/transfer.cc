#include "io/https/transfer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace weir::io {
namespace {

constexpr std::size_t kLongestUrl = 8'192;

void StartLibrary() {
  static const bool started = [] { return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK; }();
  (void)started;  // when it failed, no handle can be made, and that is told
}

bool IsToken(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

bool HasControls(std::string_view text) {
  return std::ranges::any_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
  });
}

Result<> CheckUrl(std::string_view url, bool plaintext) {
  const auto refused = [](const char* why) { return Fail(ErrorCode::kInvalidArgument, why); };
  if (url.size() > kLongestUrl) return refused("the URL has more than 8192 bytes");
  if (std::ranges::any_of(url, [](char c) { return c <= ' ' || c > '~' || c == '\\' || c == '"'; })) {
    return refused("the URL must be printable ASCII without spaces");
  }
  const bool tls = url.starts_with("https://");
  if (!tls && !url.starts_with("http://")) return refused("the URL must begin with https://");
  if (!tls && !plaintext) return refused("the URL must begin with https://: http:// is not encrypted");
  const std::string_view rest = url.substr(url.find("://") + 3);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  if (authority.empty() || authority.starts_with(':')) return refused("the URL must name a host");
  if (authority.find('@') != std::string_view::npos) return refused("the URL must not contain a user or a password");
  return {};
}

// "https://host:port" of a URL: what messages name. A query can hold secrets.
std::string OriginOf(const std::string& url) { return url.substr(0, url.find_first_of("/?#", url.find("://") + 3)); }

Address AddressOf(const sockaddr* socket) {
  Address address;
  if (socket->sa_family == AF_INET6) {
    const auto* const v6 = reinterpret_cast<const sockaddr_in6*>(socket);
    std::ranges::copy(v6->sin6_addr.s6_addr, address.bytes.begin());
  } else {
    const auto* const v4 = reinterpret_cast<const sockaddr_in*>(socket);
    address.bytes[10] = address.bytes[11] = 0xff;
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(&v4->sin_addr);
    std::copy_n(bytes, 4, address.bytes.begin() + 12);
  }
  return address;
}

bool IsLoopback(const Address& address) {
  return ParseNetwork("127.0.0.0/8")->Contains(address) || ParseNetwork("::1")->Contains(address);
}

long Milliseconds(Nanos duration) {
  return duration <= 0 ? 0 : static_cast<long>(std::max<Nanos>(duration / kMillisecond, 1));
}

}  // namespace

Transfer::Transfer() {
  StartLibrary();
  handle_.reset(curl_easy_init());
}

Result<> Transfer::Prepare(const HttpOptions& options, HttpRequest request) {
  if (handle_ == nullptr) return Fail(ErrorCode::kResourceExhausted, "no memory for a connection");
  if (auto checked = CheckUrl(request.url, options.plaintext); !checked) return checked;
  if (!IsToken(request.method)) return Fail(ErrorCode::kInvalidArgument, "the method is malformed");
  options_ = options;
  request_ = std::move(request);
  reply_ = {};
  visit_ = nullptr;
  stopped_ = nullptr;
  header_bytes_ = 0;
  refused_address_.clear();
  too_large_ = ended_ = false;
  error_[0] = '\0';
  CURL* const curl = handle_.get();
  curl_easy_reset(curl);  // keeps connections
  curl_easy_setopt(curl, CURLOPT_URL, request_.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, options_.plaintext ? "http,https" : "https");
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error_.data());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, options_.user_agent.c_str());
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, Milliseconds(options_.connect_timeout));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, Milliseconds(options_.timeout));
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options_.ca_file.empty()) {
    curl_easy_setopt(curl, CURLOPT_CAINFO, options_.ca_file.c_str());
    curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);  // or the machine's authorities would do, too
  }
  if (!options_.certificate_file.empty()) {
    curl_easy_setopt(curl, CURLOPT_SSLCERT, options_.certificate_file.c_str());
    curl_easy_setopt(curl, CURLOPT_SSLKEY,
                     (options_.key_file.empty() ? options_.certificate_file : options_.key_file).c_str());
  }
  if (!options_.unix_socket.empty()) curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, options_.unix_socket.c_str());
  const bool proxied = options_.environment_proxy && options_.reach != HttpOptions::Reach::kPublic;
  if (!proxied) curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Transfer::TakeBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &Transfer::TakeHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &Transfer::Tick);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, this);
  if (options_.reach == HttpOptions::Reach::kPublic) {
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, &Transfer::Open);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, this);
  }
  SetBody();
  return SetHeaders();
}

void Transfer::SetBody() {
  CURL* const curl = handle_.get();
  const std::string& method = request_.method;
  if (method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    return;
  }
  if (!request_.body.empty() || method == "POST" || method == "PUT" || method == "PATCH") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request_.body.c_str());
  }
  if (method != "GET" || !request_.body.empty()) curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
}

Result<> Transfer::SetHeaders() {
  curl_slist* list = nullptr;
  const auto add = [&](const std::string& line) {
    curl_slist* const longer = curl_slist_append(list, line.c_str());
    if (longer != nullptr) list = longer;
    return longer != nullptr;
  };
  bool added = add("Expect:");  // no waiting for 100 Continue
  bool typed = false, good = true;
  for (const HttpHeader& header : request_.headers) {
    good = good && IsToken(header.name) && !HasControls(header.value);
    typed = typed || EqualsIgnoreCase(header.name, "content-type");
    added = added && good && add(header.value.empty() ? header.name + ";" : header.name + ": " + header.value);
  }
  if (!typed) added = added && add("Content-Type:");  // libcurl would say that it is a form
  headers_.reset(list);
  if (!good) return Fail(ErrorCode::kInvalidArgument, "a header has characters that do not belong there");
  if (!added) return Fail(ErrorCode::kResourceExhausted, "no memory for the headers");
  curl_easy_setopt(handle_.get(), CURLOPT_HTTPHEADER, headers_.get());
  return {};
}

std::size_t Transfer::TakeBody(char* bytes, std::size_t one, std::size_t size, void* self) {
  Transfer& transfer = *static_cast<Transfer*>(self);
  const std::string_view part(bytes, one * size);
  if (transfer.visit_) {
    if (transfer.visit_(part)) return part.size();
    transfer.ended_ = true;
    return 0;
  }
  if (part.size() > transfer.options_.most_bytes - transfer.reply_.body.size()) {
    transfer.too_large_ = true;
    return 0;
  }
  transfer.reply_.body.append(part);
  return part.size();
}

std::size_t Transfer::TakeHeader(char* bytes, std::size_t one, std::size_t size, void* self) {
  Transfer& transfer = *static_cast<Transfer*>(self);
  std::string_view line(bytes, one * size);
  const std::size_t taken = line.size();
  transfer.header_bytes_ += taken;
  if (transfer.header_bytes_ > transfer.options_.most_header_bytes) {
    transfer.too_large_ = true;
    return 0;
  }
  while (line.ends_with('\n') || line.ends_with('\r') || line.ends_with(' ')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {  // of this answer, or of one before it (100)
    transfer.reply_.headers.clear();
    return taken;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return taken;
  std::string_view value = line.substr(colon + 1);
  while (value.starts_with(' ') || value.starts_with('\t')) value.remove_prefix(1);
  transfer.reply_.headers.push_back({LowerCase(std::string(line.substr(0, colon))), std::string(value)});
  return taken;
}

int Transfer::Tick(void* self, curl_off_t /*down*/, curl_off_t /*downed*/, curl_off_t /*up*/, curl_off_t /*upped*/) {
  Transfer& transfer = *static_cast<Transfer*>(self);
  if (!transfer.stopped_ || !transfer.stopped_()) return 0;
  transfer.ended_ = true;
  return 1;
}

curl_socket_t Transfer::Open(void* self, curlsocktype /*purpose*/, curl_sockaddr* address) {
  Transfer& transfer = *static_cast<Transfer*>(self);
  if (address->family == AF_INET || address->family == AF_INET6) {
    const Address to = AddressOf(&address->addr);
    const bool allowed =
        IsPublic(to) || (transfer.request_.may_be_loopback && IsLoopback(to)) ||
        std::ranges::any_of(transfer.options_.allowed, [&](const Network& one) { return one.Contains(to); });
    if (!allowed) {
      std::array<char, 46> text{};
      transfer.refused_address_ = FormatAddress(to, text);
      return CURL_SOCKET_BAD;
    }
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

std::string Transfer::Reason(CURLcode code) const {
  return error_[0] != '\0' ? std::string(error_.data()) : std::string(curl_easy_strerror(code));
}

Result<HttpReply> Transfer::Finish(CURLcode code) {
  const std::string origin = options_.unix_socket.empty() ? OriginOf(request_.url) : "unix:" + options_.unix_socket;
  const auto failed = [&](ErrorCode error, const std::string& why) { return Fail(error, origin + ": " + why); };
  long status = 0;
  curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &status);
  reply_.status = static_cast<int>(status);
  if (ended_) return std::move(reply_);  // as the caller wished
  if (too_large_) {
    return failed(ErrorCode::kResourceExhausted,
                  "the answer has more than " + std::to_string(options_.most_bytes) + " bytes, or very long headers");
  }
  if (!refused_address_.empty() && code != CURLE_OK) {
    return failed(ErrorCode::kFailedPrecondition,
                  "the name leads to " + refused_address_ + ", which is not a public address");
  }
  switch (code) {
    case CURLE_OK:
      break;
    case CURLE_OPERATION_TIMEDOUT:
      return failed(ErrorCode::kDeadlineExceeded, "no answer in time");
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
      return failed(ErrorCode::kInvalidArgument, Reason(code));
    case CURLE_PEER_FAILED_VERIFICATION:
      return failed(ErrorCode::kFailedPrecondition, "its certificate is not trusted: " + Reason(code));
    case CURLE_OUT_OF_MEMORY:
      return failed(ErrorCode::kResourceExhausted, "out of memory");
    default:
      return failed(ErrorCode::kUnavailable, Reason(code));
  }
  if (status < 100 || status > 999) return failed(ErrorCode::kUnavailable, "the answer is not HTTP");
  return std::move(reply_);
}

}  // namespace weir::io
