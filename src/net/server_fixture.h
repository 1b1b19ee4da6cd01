// A server on a free loopback port, for the tests of this folder.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/server.h"
#include "net/test_client.h"
#include "net/test_sessions.h"

namespace weir::net {

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    options_.threads = 1;
    directory_ =
        std::filesystem::temp_directory_path() / ("weir_net_" + std::to_string(getpid()) + "_" +
                                                  ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(directory_);
  }
  ~ServerTest() override {
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  ListenerOptions Listener(std::string address) {
    ListenerOptions listener;
    listener.name = "lines";
    listener.address = std::move(address);
    listener.sessions = [this](Connection& connection) { return std::make_unique<LineSession>(connection, stage_); };
    return listener;
  }
  Result<std::unique_ptr<Server>> TryStart(ListenerOptions listener) {
    std::vector<ListenerOptions> listeners;
    listeners.push_back(std::move(listener));
    return Server::Start(options_, std::move(listeners));
  }
  void Start(ListenerOptions listener) {
    auto server = TryStart(std::move(listener));
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }
  void Start(std::string address = "127.0.0.1:0") { Start(Listener(std::move(address))); }
  TestClient Client() { return TestClient(server_->addresses()[0]); }
  std::string Path(const char* name) const { return (directory_ / name).string(); }

  Stage stage_;
  ServerOptions options_;
  std::filesystem::path directory_;
  std::unique_ptr<Server> server_;
};

}  // namespace weir::net
