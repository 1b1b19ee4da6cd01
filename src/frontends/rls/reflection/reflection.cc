#include "frontends/rls/reflection/reflection.h"

#include <cstdint>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>
#include <utility>

#include "frontends/rls/envoy/protobuf_fields.h"
#include "frontends/rls/reflection/descriptors.h"

namespace weir::rls {
namespace {

using protozero::pbf_reader;
using protozero::pbf_writer;

// Field numbers of grpc/reflection/v1/reflection.proto; v1alpha has the same.
namespace request_field {
enum : std::uint32_t {
  kHost = 1,
  kFileByName = 3,
  kFileBySymbol = 4,
  kFileByExtension = 5,
  kExtensionNumbers = 6,
  kListServices = 7
};
}
namespace response_field {
enum : std::uint32_t { kHost = 1, kRequest = 2, kFiles = 4, kExtensionNumbers = 5, kServices = 6, kError = 7 };
}

struct Question {
  std::uint32_t kind = 0;  // of request_field; the last one counts
  std::string_view host, text;
};

void WriteError(pbf_writer& response, Code code, std::string_view message) {
  pbf_writer error(response, response_field::kError);
  error.add_int32(1, static_cast<std::int32_t>(code));
  error.add_string(2, message.data(), message.size());
}

void WriteFiles(pbf_writer& response, const std::vector<std::string_view>& files) {
  if (files.empty()) return WriteError(response, Code::kNotFound, "not found");
  pbf_writer list(response, response_field::kFiles);
  for (const std::string_view file : files) list.add_bytes(1, file.data(), file.size());
}

void WriteByExtension(pbf_writer& response, std::string_view question, const DescriptorIndex& index) {
  std::string_view extended;
  std::int32_t number = 0;
  pbf_reader reader(question.data(), question.size());
  while (reader.next()) {
    if (reader.tag_and_type() == Field(1, kBytes)) {
      const protozero::data_view view = reader.get_view();
      extended = {view.data(), view.size()};
    } else if (reader.tag_and_type() == Field(2, kVarint)) {
      number = reader.get_int32();
    } else {
      reader.skip();
    }
  }
  WriteFiles(response, index.ByExtension(extended, number));
}

void WriteExtensionNumbers(pbf_writer& response, std::string_view extended, const DescriptorIndex& index) {
  if (!index.HasSymbol(extended)) return WriteError(response, Code::kNotFound, "not found");
  pbf_writer list(response, response_field::kExtensionNumbers);
  list.add_string(1, extended.data(), extended.size());
  const auto numbers = index.Extensions(extended);
  list.add_packed_int32(2, numbers.begin(), numbers.end());
}

Question ReadQuestion(std::string_view request) {
  Question question;
  pbf_reader reader(request.data(), request.size());
  while (reader.next()) {
    if (reader.wire_type() != protozero::pbf_wire_type::length_delimited) {
      reader.skip();
      continue;
    }
    const std::uint32_t number = reader.tag();
    const protozero::data_view view = reader.get_view();
    const std::string_view text(view.data(), view.size());
    if (number == request_field::kHost) question.host = text;
    if (number >= request_field::kFileByName && number <= request_field::kListServices) {
      question.kind = number;
      question.text = text;
    }
  }
  return question;
}

// What both versions know.
struct Knowledge {
  DescriptorIndex index;
  std::vector<std::string> names;
};

class Talk final : public StreamHandler {
 public:
  Talk(Stream& stream, std::shared_ptr<const Knowledge> knowledge)
      : stream_(stream), knowledge_(std::move(knowledge)) {}
  void OnMessage(std::string_view message) override {
    auto answer = AnswerReflection(message, knowledge_->index, knowledge_->names);
    if (!answer) return stream_.Finish({Code::kInternal, "malformed ServerReflectionRequest"});
    stream_.Send(std::move(*answer));
  }
  void OnHalfClose() override { stream_.Finish({}); }
  void OnClose() override {}

 private:
  Stream& stream_;
  const std::shared_ptr<const Knowledge> knowledge_;
};

class ReflectionService final : public Service {
 public:
  ReflectionService(const std::string& version, const std::shared_ptr<const Knowledge>& knowledge)
      : name_("grpc.reflection." + version + ".ServerReflection"),
        descriptors_(FileDescriptors("grpc/reflection/" + version + "/reflection.proto")) {
    methods_.push_back({"/" + name_ + "/ServerReflectionInfo", 0,
                        [knowledge](Stream& stream) { return std::make_unique<Talk>(stream, knowledge); }});
  }
  std::string_view name() const override { return name_; }
  const std::vector<Method>& methods() const override { return methods_; }
  bool Answer(std::span<UnaryCall> calls, storage::Completion*) override {
    for (UnaryCall& call : calls) call.status = {Code::kUnimplemented, "this service has no unary method"};
    return true;
  }
  std::span<const std::string> file_descriptors() const override { return descriptors_; }

 private:
  const std::string name_;
  const std::vector<std::string> descriptors_;
  std::vector<Method> methods_;
};

}  // namespace

std::optional<std::string> AnswerReflection(std::string_view request, const DescriptorIndex& index,
                                            std::span<const std::string> names) {
  try {
    const Question question = ReadQuestion(request);
    std::string answer;
    pbf_writer response(answer);
    response.add_string(response_field::kHost, question.host.data(), question.host.size());
    response.add_message(response_field::kRequest, request.data(), request.size());
    switch (question.kind) {
      case request_field::kFileByName:
        WriteFiles(response, index.ByFile(question.text));
        break;
      case request_field::kFileBySymbol:
        WriteFiles(response, index.BySymbol(question.text));
        break;
      case request_field::kFileByExtension:
        WriteByExtension(response, question.text, index);
        break;
      case request_field::kExtensionNumbers:
        WriteExtensionNumbers(response, question.text, index);
        break;
      case request_field::kListServices: {
        pbf_writer list(response, response_field::kServices);
        for (const std::string& name : names) pbf_writer(list, 1).add_string(1, name);
        break;
      }
      default:
        WriteError(response, Code::kInvalidArgument, "nothing was asked");
        break;
    }
    return answer;
  } catch (const protozero::exception&) {
    return std::nullopt;
  }
}

std::vector<std::unique_ptr<Service>> MakeReflectionServices(std::span<const Service* const> others) {
  auto knowledge = std::make_shared<Knowledge>();
  std::vector<std::unique_ptr<Service>> services;
  for (const char* version : {"v1", "v1alpha"}) {
    services.push_back(std::make_unique<ReflectionService>(version, knowledge));
  }
  const auto learn = [&](const Service& service) {
    knowledge->index.Add(service.file_descriptors());
    knowledge->names.emplace_back(service.name());
  };
  for (const Service* const service : others) learn(*service);
  for (const auto& service : services) learn(*service);
  return services;
}

}  // namespace weir::rls
