#include "frontends/rls/health/health.h"

#include <algorithm>
#include <optional>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>
#include <utility>

#include "frontends/rls/envoy/protobuf_fields.h"
#include "frontends/rls/reflection/descriptors.h"

namespace weir::rls {
namespace {

// HealthCheckRequest: the service asked about. Absent when the message is malformed.
std::optional<std::string> ReadRequest(std::string_view message) {
  try {
    std::string service;
    protozero::pbf_reader reader(message.data(), message.size());
    while (reader.next()) {
      if (reader.tag_and_type() == Field(1, kBytes)) {
        service = reader.get_string();
      } else {
        reader.skip();
      }
    }
    return service;
  } catch (const protozero::exception&) {
    return std::nullopt;
  }
}

void WriteResponse(HealthService::Serving serving, std::string* message) {
  message->clear();
  protozero::pbf_writer(*message).add_enum(1, static_cast<std::int32_t>(serving));
}

Status Malformed() { return {Code::kInternal, "malformed HealthCheckRequest"}; }

}  // namespace

// One call of Watch.
class HealthService::Watch final : public StreamHandler {
 public:
  Watch(HealthService& service, Stream& stream) : service_(service), stream_(stream) {}
  ~Watch() override { Leave(); }

  void OnMessage(std::string_view message) override {
    if (watcher_ != nullptr) return stream_.Finish({Code::kInternal, "Watch takes one message"});
    const auto name = ReadRequest(message);
    if (!name) return stream_.Finish(Malformed());
    known_ = service_.Knows(*name);
    watcher_ = std::make_shared<Watcher>(stream_.connection().Share(), this);
    {
      const std::lock_guard lock(service_.mutex_);
      service_.watchers_.insert(watcher_);
    }
    // After being entered: a change from now on is told, one before is in this.
    Notify();
  }
  void OnHalfClose() override {
    if (watcher_ == nullptr) stream_.Finish({Code::kInternal, "no message"});
  }
  void OnClose() override { Leave(); }

  void Notify() {
    const Serving now = service_.StatusOf(known_);
    if (told_ == now) return;
    told_ = now;
    std::string message;
    WriteResponse(now, &message);
    stream_.Send(std::move(message));
  }

 private:
  void Leave() {
    if (watcher_ == nullptr) return;
    watcher_->watch = nullptr;
    const std::lock_guard lock(service_.mutex_);
    service_.watchers_.erase(watcher_);
  }

  HealthService& service_;
  Stream& stream_;
  bool known_ = false;  // what it asks about; not its name, which may be as long as a message
  std::shared_ptr<Watcher> watcher_;
  std::optional<Serving> told_;
};

HealthService::HealthService(std::vector<std::string> names, std::function<bool()> ready)
    : names_(std::move(names)),
      ready_(std::move(ready)),
      descriptors_(FileDescriptors("grpc/health/v1/health.proto")),
      told_ready_(ready_()) {
  methods_.push_back({"/grpc.health.v1.Health/Check", 0, {}});
  methods_.push_back(
      {"/grpc.health.v1.Health/Watch", 1, [this](Stream& stream) { return std::make_unique<Watch>(*this, stream); }});
}

HealthService::~HealthService() = default;

bool HealthService::Knows(std::string_view name) const {
  return name.empty() || std::find(names_.begin(), names_.end(), name) != names_.end();
}

HealthService::Serving HealthService::StatusOf(bool known) const {
  if (!known) return Serving::kServiceUnknown;
  return ready_() ? Serving::kServing : Serving::kNotServing;
}

bool HealthService::Answer(std::span<UnaryCall> calls, storage::Completion*) {
  for (UnaryCall& call : calls) {
    const auto name = ReadRequest(call.request);
    if (!name) {
      call.status = Malformed();
      continue;
    }
    const Serving serving = StatusOf(Knows(*name));
    if (serving == Serving::kServiceUnknown) {
      call.status = {Code::kNotFound, "unknown service"};
    } else {
      WriteResponse(serving, &call.response);
    }
  }
  return true;
}

void HealthService::Refresh() {
  const bool ready = ready_();
  const std::lock_guard lock(mutex_);
  if (ready == told_ready_) return;
  told_ready_ = ready;
  for (const std::shared_ptr<Watcher>& watcher : watchers_) {
    watcher->connection->Post([watcher] {
      if (watcher->watch != nullptr) watcher->watch->Notify();
    });
  }
}

}  // namespace weir::rls
