// What one connection has told about itself, and the commands of Redis that tell it and ask it back: HELLO, AUTH,
// CLIENT, RESET, SELECT, CONFIG, INFO, PING, ECHO.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/crypto/secret.h"
#include "engine/engine.h"
#include "frontends/resp/reply.h"

namespace weir::resp {

using Arguments = std::span<const std::string_view>;

// Not thread-safe; one for each connection.
class ClientState {
 public:
  // `passwords` empty: nobody needs to authenticate. They outlive this.
  ClientState(const SecretSet& passwords, std::string_view peer_address);

  bool authenticated() const { return authenticated_; }
  Protocol protocol() const { return protocol_; }
  // How many passwords were wrong.
  std::uint32_t failures() const { return failures_; }
  // Too many wrong passwords: the connection is to be closed.
  bool locked_out() const { return failures_ >= kMostFailures; }

  // Each appends its reply to `out`, in the protocol in force when it returns. Arguments begin with the command's name
  // and have the right number.
  void Hello(Arguments arguments, std::string* out);
  void Auth(Arguments arguments, std::string* out);
  void Client(Arguments arguments, std::string* out);
  void Reset(std::string* out);
  void Select(Arguments arguments, std::string* out) const;
  void Config(Arguments arguments, std::string* out) const;
  void Ping(Arguments arguments, std::string* out) const;
  void Info(const engine::Engine& engine, std::string* out) const;

 private:
  static constexpr std::uint32_t kMostFailures = 32;

  bool CheckPassword(std::string_view user, std::string_view password);
  bool SetName(std::string_view name);
  std::string Describe() const;

  const SecretSet& passwords_;
  const std::string peer_;
  const std::uint64_t id_;
  Protocol protocol_ = Protocol::kResp2;
  bool authenticated_;
  std::uint32_t failures_ = 0;
  std::string name_, library_name_, library_version_;
};

}  // namespace weir::resp
