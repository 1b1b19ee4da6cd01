#include "frontends/rls/reflection/reflection.h"

#include <gtest/gtest.h>

#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "frontends/rls/health/health.h"
#include "frontends/rls/http2/session_fixture.h"
#include "frontends/rls/reflection/descriptors.h"

namespace weir::rls {
namespace {

using Names = std::vector<std::string>;

constexpr std::uint32_t kByName = 3, kBySymbol = 4, kNumbers = 6, kList = 7;
std::string Question(std::uint32_t kind, const std::string& text) {
  std::string request;
  protozero::pbf_writer(request).add_string(kind, text);
  return request;
}
std::string Inner(const std::string& message, std::uint32_t number) {
  protozero::pbf_reader reader(message);
  return reader.next(number) ? reader.get_string() : "(absent)";
}
// The names of the files in an answer.
Names Files(const std::string& answer) {
  Names names;
  const std::string list = Inner(answer, 4);
  protozero::pbf_reader reader(list);
  while (reader.next(1)) names.push_back(Inner(reader.get_string(), 1));
  return names;
}

class ReflectionTest : public SessionTest {
 protected:
  ReflectionTest() {
    const Service* const known = &health;
    made = MakeReflectionServices({&known, 1});
    options.services = {&health, made[0].get(), made[1].get()};
    Connect();
  }
  Names AskAll(const Names& questions, const std::string& version = "v1") {
    std::string body;
    for (const std::string& question : questions) body += Framed(question);
    const std::int32_t stream = client->Request(
        Client::GrpcHeaders("/grpc.reflection." + version + ".ServerReflection/ServerReflectionInfo"), body);
    Exchange();
    EXPECT_EQ(client->replies[stream].status(), "0");
    return client->replies[stream].Messages();
  }
  std::string AskOne(const std::string& question) {
    const Names answers = AskAll({question});
    return answers.size() == 1 ? answers[0] : "";
  }

  HealthService health{{}, [] { return true; }};
  std::vector<std::unique_ptr<Service>> made;
};

TEST_F(ReflectionTest, ListsWhatIsServed) {
  for (const char* version : {"v1", "v1alpha"}) {
    const Names answers = AskAll({Question(kList, "*")}, version);
    ASSERT_EQ(answers.size(), 1U);
    Names names;
    const std::string list = Inner(answers[0], 6);
    protozero::pbf_reader reader(list);
    while (reader.next(1)) names.push_back(Inner(reader.get_string(), 1));
    EXPECT_EQ(names, (Names{"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                            "grpc.reflection.v1alpha.ServerReflection"}));
    EXPECT_EQ(Inner(answers[0], 2), Question(kList, "*"));
  }
}

TEST_F(ReflectionTest, FindsFilesByNameAndBySymbol) {
  const Names health_file = {"grpc/health/v1/health.proto"};
  EXPECT_EQ(Files(AskOne(Question(kByName, "grpc/health/v1/health.proto"))), health_file);
  for (const char* symbol :
       {"grpc.health.v1.Health", "grpc.health.v1.Health.Watch", "grpc.health.v1.HealthCheckRequest",
        "grpc.health.v1.HealthCheckRequest.service", "grpc.health.v1.HealthCheckResponse.ServingStatus",
        "grpc.health.v1.HealthCheckResponse.SERVING"}) {
    EXPECT_EQ(Files(AskOne(Question(kBySymbol, symbol))), health_file) << symbol;
  }
}

TEST_F(ReflectionTest, WhatIsNotThereIsAnErrorInTheAnswer) {
  for (const std::string& question :
       {Question(kByName, "no.proto"), Question(kBySymbol, "no.Such"), Question(kNumbers, "no.Such")}) {
    EXPECT_EQ(Inner(AskOne(question), 7), "\x08\x05\x12\x09not found");
  }
  EXPECT_TRUE(Inner(AskOne(""), 7).starts_with("\x08\x03"));
  EXPECT_EQ(Inner(AskOne(Question(kNumbers, "grpc.health.v1.HealthCheckRequest")), 5),
            "\x0A\x21grpc.health.v1.HealthCheckRequest");
}

TEST_F(ReflectionTest, ManyQuestionsOnOneStream) {
  const Names answers = AskAll(Names(500, Question(kByName, "grpc/health/v1/health.proto")));
  ASSERT_EQ(answers.size(), 500U);
  EXPECT_EQ(answers.front(), answers.back());
}

TEST_F(ReflectionTest, AMalformedQuestionEndsTheCall) {
  const std::int32_t stream = client->Request(
      Client::GrpcHeaders("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"), Framed("\x1A\x7F"), false);
  Exchange();
  EXPECT_EQ(client->replies[stream].status(), "13");
}

TEST(Descriptors, ComeWithTheirImportsBeforeThem) {
  const std::vector<std::string> files = FileDescriptors("envoy/service/ratelimit/v3/rls.proto");
  Names names;
  for (const std::string& file : files) names.push_back(Inner(file, 1));
  ASSERT_GE(names.size(), 3U);
  EXPECT_EQ(names.back(), "envoy/service/ratelimit/v3/rls.proto");
  EXPECT_LT(std::find(names.begin(), names.end(), "google/protobuf/duration.proto"),
            std::find(names.begin(), names.end(), "envoy/service/ratelimit/v3/rls.proto"));
  EXPECT_TRUE(FileDescriptors("no.proto").empty());
}

TEST(DescriptorIndex, FindsExtensions) {
  // A file that extends google.protobuf.FieldOptions with number 1071, by hand.
  std::string extension, file;
  {
    protozero::pbf_writer writer(extension);
    writer.add_string(1, "rules");
    writer.add_string(2, ".google.protobuf.FieldOptions");
    writer.add_int32(3, 1071);
  }
  {
    protozero::pbf_writer writer(file);
    writer.add_string(1, "x.proto");
    writer.add_string(2, "x");
    writer.add_message(7, extension);
  }
  DescriptorIndex index;
  index.Add(std::vector<std::string>{file, "\xFF\xFF damaged", file});
  EXPECT_EQ(index.ByExtension("google.protobuf.FieldOptions", 1071), std::vector<std::string_view>{file});
  EXPECT_TRUE(index.ByExtension("google.protobuf.FieldOptions", 1).empty());
  EXPECT_EQ(index.Extensions("google.protobuf.FieldOptions"), std::vector<std::int32_t>{1071});
  EXPECT_EQ(index.BySymbol("x.rules"), std::vector<std::string_view>{file});
}

}  // namespace
}  // namespace weir::rls
