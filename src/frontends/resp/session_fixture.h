// A session on a connection without a socket. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "frontends/resp/session.h"
#include "frontends/resp/test_engine.h"
#include "net/fake_connection.h"

namespace weir::resp {

class RespTest : public ::testing::Test {
 protected:
  void Connect(RespOptions options = {}) {
    options.engine = engine_.engine.get();
    session_.reset();
    connection_ = std::make_unique<net::FakeConnection>("192.0.2.7");
    session_ = MakeRespSession(*connection_, options);
    connection_->Attach(session_.get());
  }
  RespTest() { Connect(); }
  ~RespTest() override { session_.reset(); }

  // What the session answers to an inline command.
  std::string Say(std::string_view line) {
    connection_->Receive(std::string(line) + "\r\n");
    return connection_->TakeOutput();
  }
  static std::string Encode(const std::vector<std::string>& words) {
    std::string text = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string& word : words) text += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    return text;
  }

  TestEngine engine_;
  std::unique_ptr<net::FakeConnection> connection_;
  std::unique_ptr<net::Session> session_;
};

// ":0\r\n:5\r\n" for {0, 5}
inline std::string Integers(const std::vector<std::int64_t>& values) {
  std::string text = "*" + std::to_string(values.size()) + "\r\n";
  for (const std::int64_t value : values) text += ":" + std::to_string(value) + "\r\n";
  return text;
}

}  // namespace weir::resp
