// A gRPC session on a connection without a socket, and nghttp2's client side to talk to it. Tests only.
#pragma once

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/manual_clock.h"
#include "frontends/rls/http2/counters.h"
#include "frontends/rls/http2/session.h"
#include "net/fake_connection.h"

namespace weir::rls {

// Answers with the request, reversed; what it does beside that, a test says by the message.
class TestService final : public Service {
 public:
  explicit TestService(std::string name = "test.Echo") : name_(std::move(name)) {
    methods_ = {{"/" + name_ + "/Say", 0, {}}, {"/" + name_ + "/Other", 1, {}}};
    methods_.push_back({"/" + name_ + "/Talk", 2, [this](Stream& stream) { return Open(stream); }});
  }

  std::string_view name() const override { return name_; }
  const std::vector<Method>& methods() const override { return methods_; }
  bool Answer(std::span<UnaryCall> calls, storage::Completion* done) override {
    batches.push_back(calls.size());
    if (fault) throw std::runtime_error("as asked");
    if (hold) {
      held.push_back({calls, done});
      return false;
    }
    for (UnaryCall& call : calls) Reply(call);
    return true;
  }
  // Answers what was held.
  void Release() {
    for (auto& [calls, done] : std::exchange(held, {})) {
      for (UnaryCall& call : calls) Reply(call);
      done->Done();
    }
  }

  // What the handlers were told, in order: "open", "message x", "half-close", "close", "destroyed".
  std::vector<std::string> told;
  std::vector<std::size_t> batches;  // how many calls each had
  std::vector<std::string> peers;
  std::vector<Stream*> streams;
  bool hold = false, fault = false;
  struct Held {
    std::span<UnaryCall> calls;
    storage::Completion* done;
  };
  std::vector<Held> held;

 private:
  void Reply(UnaryCall& call) {
    peers.emplace_back(call.peer);
    if (call.request == "fail") {
      call.status = {Code::kInvalidArgument, "100% wr\xC3\xB6ng\n"};
    } else if (call.request.starts_with("big ")) {
      call.response.assign(std::stoul(std::string(call.request.substr(4))), 'b');
    } else {
      call.response.assign(call.request.rbegin(), call.request.rend());
      if (call.method == 1) call.response += " from the other";
      if (!call.request_id.empty()) call.response += " of " + std::string(call.request_id);
    }
  }

  struct Handler final : StreamHandler {
    Handler(TestService& test_service, Stream& its_stream) : service(test_service), stream(its_stream) {}
    ~Handler() override { service.told.emplace_back("destroyed"); }
    void OnMessage(std::string_view message) override {
      service.told.push_back("message " + std::string(message.substr(0, 20)));
      if (message == "quiet") return;
      if (message == "finish") return stream.Finish({Code::kNotFound, "as asked"});
      if (message.starts_with("big ")) return stream.Send(std::string(std::stoul(std::string(message.substr(4))), 's'));
      stream.Send("re: " + std::string(message));
    }
    void OnHalfClose() override {
      service.told.emplace_back("half-close");
      stream.Finish({});
    }
    void OnClose() override { service.told.emplace_back("close"); }
    TestService& service;
    Stream& stream;
  };
  std::unique_ptr<StreamHandler> Open(Stream& stream) {
    told.emplace_back("open");
    streams.push_back(&stream);
    return std::make_unique<Handler>(*this, stream);
  }

  std::string name_;
  std::vector<Method> methods_;
};

inline std::string Framed(std::string_view message, char flag = 0) {
  const auto size = static_cast<std::uint32_t>(message.size());
  std::string framed{flag, static_cast<char>(size >> 24U), static_cast<char>(size >> 16U),
                     static_cast<char>(size >> 8U), static_cast<char>(size)};
  return framed.append(message);
}

// A frame by hand, for what a client library refuses to say.
inline std::string Frame(std::uint8_t type, std::uint8_t flags, std::int32_t stream, std::string_view payload = {}) {
  const auto size = static_cast<std::uint32_t>(payload.size());
  const auto id = static_cast<std::uint32_t>(stream);
  std::string frame{static_cast<char>(size >> 16U), static_cast<char>(size >> 8U), static_cast<char>(size),
                    static_cast<char>(type),        static_cast<char>(flags),      static_cast<char>(id >> 24U),
                    static_cast<char>(id >> 16U),   static_cast<char>(id >> 8U),   static_cast<char>(id)};
  return frame.append(payload);
}
inline constexpr std::string_view kClientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// What came back on one stream.
struct Reply {
  std::vector<std::pair<std::string, std::string>> headers, trailers;
  std::string body;
  bool ended = false;   // END_STREAM
  bool closed = false;  // by either side
  std::uint32_t error = 0;
  std::vector<std::size_t> data_frames;

  static std::string In(const std::vector<std::pair<std::string, std::string>>& list, std::string_view name) {
    for (const auto& [key, value] : list) {
      if (key == name) return value;
    }
    return "(absent)";
  }
  std::string Header(std::string_view name) const { return In(headers, name); }
  // From the trailers, or of a trailers-only answer.
  std::string Trailer(std::string_view name) const { return In(trailers.empty() ? headers : trailers, name); }
  std::string status() const { return Trailer("grpc-status"); }
  std::vector<std::string> Messages() const {
    std::vector<std::string> messages;
    std::string_view rest = body;
    while (rest.size() >= 5) {
      std::size_t size = 0;
      for (std::size_t i = 1; i < 5; ++i) size = size << 8U | static_cast<unsigned char>(rest[i]);
      messages.emplace_back(rest.substr(5, size));
      rest.remove_prefix(std::min(rest.size(), 5 + size));
    }
    return messages;
  }
  std::string Message() const {
    const auto messages = Messages();
    return messages.size() == 1 ? messages[0] : "(" + std::to_string(messages.size()) + " messages)";
  }
};

using Headers = std::vector<std::pair<std::string, std::string>>;

class Client {
 public:
  explicit Client(const std::vector<nghttp2_settings_entry>& own_settings = {}, bool auto_window = true) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnClose);
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, auto_window ? 0 : 1);
    nghttp2_session_client_new2(&h2, callbacks, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(h2, 0, own_settings.data(), own_settings.size());
  }
  ~Client() { nghttp2_session_del(h2); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  static Headers GrpcHeaders(std::string path = "/test.Echo/Say", const Headers& more = {}) {
    Headers headers = {{":method", "POST"},    {":scheme", "http"}, {":path", std::move(path)},
                       {":authority", "weir"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
    for (const auto& [name, value] : more) {
      const auto at = std::find_if(headers.begin(), headers.end(), [&](const auto& h) { return h.first == name; });
      if (at != headers.end()) {
        at->second = value;
      } else {
        headers.emplace_back(name, value);
      }
    }
    std::erase_if(headers, [](const auto& h) { return h.second == "(none)"; });
    return headers;
  }

  // Opens a stream with this body; `end`: the client has said all.
  std::int32_t Request(const Headers& headers, std::string body, bool end = true) {
    std::vector<nghttp2_nv> nva;
    for (const auto& [name, value] : headers) {
      nva.push_back({reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
                     reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
                     NGHTTP2_NV_FLAG_NONE});
    }
    auto source = std::make_unique<Source>();
    source->bytes = std::move(body);
    source->end = end;
    nghttp2_data_provider provider;
    provider.source.ptr = source.get();
    provider.read_callback = Read;
    const std::int32_t stream = nghttp2_submit_request(h2, nullptr, nva.data(), nva.size(), &provider, nullptr);
    sources[stream] = std::move(source);
    return stream;
  }
  std::int32_t Call(std::string_view message, const std::string& path = "/test.Echo/Say", const Headers& more = {}) {
    return Request(GrpcHeaders(path, more), Framed(message));
  }
  // More of a stream's body.
  void Continue(std::int32_t stream, std::string_view body, bool end = false) {
    sources[stream]->bytes.append(body);
    sources[stream]->end = end;
    nghttp2_session_resume_data(h2, stream);
  }

  // What it wants to say now.
  std::string Output() {
    std::string bytes;
    const std::uint8_t* data = nullptr;
    for (ssize_t size = 0; (size = nghttp2_session_mem_send(h2, &data)) > 0;) {
      bytes.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
    }
    return bytes;
  }
  void Input(std::string_view bytes) {
    const ssize_t read =
        nghttp2_session_mem_recv(h2, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    EXPECT_EQ(read, static_cast<ssize_t>(bytes.size())) << nghttp2_strerror(static_cast<int>(read));
  }

  nghttp2_session* h2 = nullptr;
  std::map<std::int32_t, Reply> replies;
  struct GoAway {
    std::int32_t last_stream;
    std::uint32_t error;
  };
  std::vector<GoAway> goaways;
  std::map<std::uint8_t, int> frames;  // how many of each type
  int ping_acks = 0, settings_acks = 0;
  std::map<std::int32_t, std::uint32_t> settings;  // the server's

 private:
  struct Source {
    std::string bytes;
    std::size_t sent = 0;
    bool end = true;
  };
  static Client& Self(void* user_data) { return *static_cast<Client*>(user_data); }
  static ssize_t Read(nghttp2_session*, std::int32_t, std::uint8_t* room, std::size_t size, std::uint32_t* flags,
                      nghttp2_data_source* source, void*) {
    auto& from = *static_cast<Source*>(source->ptr);
    const std::size_t taken = std::min(size, from.bytes.size() - from.sent);
    std::memcpy(room, from.bytes.data() + from.sent, taken);
    from.sent += taken;
    if (from.sent == from.bytes.size()) {
      if (from.end) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
      } else if (taken == 0) {
        return NGHTTP2_ERR_DEFERRED;
      }
    }
    return static_cast<ssize_t>(taken);
  }
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                      const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* user_data) {
    Reply& reply = Self(user_data).replies[frame->hd.stream_id];
    auto& list = frame->headers.cat == NGHTTP2_HCAT_RESPONSE ? reply.headers : reply.trailers;
    list.emplace_back(std::string(reinterpret_cast<const char*>(name), name_size),
                      std::string(reinterpret_cast<const char*>(value), value_size));
    return 0;
  }
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    Client& self = Self(user_data);
    ++self.frames[frame->hd.type];
    if (frame->hd.type == NGHTTP2_GOAWAY) {
      self.goaways.push_back({frame->goaway.last_stream_id, frame->goaway.error_code});
    }
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) ++self.ping_acks;
    if (frame->hd.type == NGHTTP2_SETTINGS) {
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) ++self.settings_acks;
      for (std::size_t i = 0; i < frame->settings.niv; ++i) {
        self.settings[frame->settings.iv[i].settings_id] = frame->settings.iv[i].value;
      }
    }
    if (frame->hd.type == NGHTTP2_DATA) self.replies[frame->hd.stream_id].data_frames.push_back(frame->hd.length);
    if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
      self.replies[frame->hd.stream_id].ended = true;
    }
    return 0;
  }
  static int OnData(nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* data, std::size_t size,
                    void* user_data) {
    Self(user_data).replies[stream].body.append(reinterpret_cast<const char*>(data), size);
    return 0;
  }
  static int OnClose(nghttp2_session*, std::int32_t stream, std::uint32_t error, void* user_data) {
    Self(user_data).replies[stream].closed = true;
    Self(user_data).replies[stream].error = error;
    return 0;
  }

  std::map<std::int32_t, std::unique_ptr<Source>> sources;
};

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() { options.services = {&service}; }
  ~SessionTest() override { session.reset(); }

  // A fresh connection with a fresh client.
  void Connect(const std::vector<nghttp2_settings_entry>& settings = {}, bool auto_window = true) {
    options.clock = &clock;
    counters = std::make_unique<CallCounters>(options.services);
    options.counters = counters.get();
    session.reset();
    connection = std::make_unique<net::FakeConnection>("192.0.2.7");
    session = MakeGrpcSession(*connection, options);
    connection->Attach(session.get());
    client = std::make_unique<Client>(settings, auto_window);
  }
  // Client and session talk until neither has anything to say.
  void Exchange() {
    for (int i = 0; i < 1'000; ++i) {
      const std::string up = client->Output();
      if (!up.empty()) connection->Receive(up);
      const std::size_t ran = connection->RunPosted();
      EXPECT_FALSE(connection->unflushed());
      const std::string down = connection->TakeOutput();
      if (!down.empty()) client->Input(down);
      if (up.empty() && down.empty() && ran == 0) return;
    }
    ADD_FAILURE() << "they talk for ever";
  }
  const Reply& Ask(std::string_view message, const std::string& path = "/test.Echo/Say", const Headers& more = {}) {
    const std::int32_t stream = client->Call(message, path, more);
    Exchange();
    return client->replies[stream];
  }
  std::uint64_t Counted(std::string_view method, Code code) const {
    for (const auto& row : counters->Answers()) {
      if (row.method == method && row.code == code) return row.count;
    }
    return 0;
  }

  TestService service;
  ManualClock clock;
  GrpcOptions options;
  std::unique_ptr<CallCounters> counters;
  std::unique_ptr<net::FakeConnection> connection;
  std::unique_ptr<net::Session> session;
  std::unique_ptr<Client> client;
};

}  // namespace weir::rls
