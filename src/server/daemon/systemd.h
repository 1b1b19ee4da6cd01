// What systemd tells a service and wants to hear from it. All are no-ops outside systemd.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir::server {

// Sockets passed by a socket unit, by their FileDescriptorName= ("http", "resp", ...); unnamed ones are under "".
struct InheritedSocket {
  std::string name;
  int fd = -1;
};
// Takes them out of the environment: a second call gives nothing.
std::vector<InheritedSocket> InheritedSockets();

void NotifyReady(std::string_view status);
void NotifyReloading();
void NotifyStopping();

}  // namespace weir::server
