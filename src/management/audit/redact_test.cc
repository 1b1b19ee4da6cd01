#include "management/audit/redact.h"

#include <gtest/gtest.h>

#include "management/auth/secret_token.h"

namespace weir::management::audit {
namespace {

TEST(Redact, FormsOfSecretsInTexts) {
  const std::string token = MakeSecret(kTokenPrefix);
  const std::pair<std::string, std::string> cases[] = {
      {"Authorization: Bearer abc123", "Authorization: Bearer [redacted]"},
      {"bearer abc.def", "bearer [redacted]"},
      {"BASIC dXNlcjpwYXNz", "BASIC [redacted]"},
      {"redis://user:p%40ss@host:6379/0", "redis://user:[redacted]@host:6379/0"},
      {"redis://:pass@host", "redis://:[redacted]@host"},
      {"postgres://a:b@c@host/db and https://x:y@z", "postgres://a:[redacted]@host/db and https://x:[redacted]@z"},
      {"key " + token, "key " + std::string(ShownPart(token)) + "..."},
      {"eyJhbGciOiJIUzI1NiJ9.e30.AAAA", "[redacted]"},
      {"x=eyJhbGciOiJIUzI1NiJ9.e30.AAAA;", "x=[redacted];"},
  };
  for (const auto& [text, clean] : cases) EXPECT_EQ(RedactText(text), clean);
}

TEST(Redact, OrdinaryTextsStay) {
  for (const char* text : {"", "raise the basic plan until Friday", "a bearer of news", "Basic tier",
                           "https://host/a:b@c", "https://user@host/", "eyJ is how JWTs begin", "10:30",
                           "user@example.org", "a://b", "://", "bearer ", "basic "}) {
    EXPECT_EQ(RedactText(text), text);
  }
}

TEST(Redact, FieldsOfSecretNames) {
  EXPECT_EQ(
      RedactJson(R"({"Password":1,"client-secret":"x","tokens":["a","b"],"name":"bob","apiKey":"k","API_KEY":"k"})"),
      R"({"Password":"[redacted]","client-secret":"[redacted]","tokens":["[redacted]","[redacted]"],"name":"bob","apiKey":"[redacted]","API_KEY":"[redacted]"})");
  EXPECT_EQ(
      RedactJson(
          R"({"token_bucket":{"refill_rate":1,"note":"x"},"a":[{"secret":{"deep":5,"x":null}}],"secret":"${env:A}"})"),
      R"({"token_bucket":{"refill_rate":1,"note":"x"},"a":[{"secret":{"deep":"[redacted]","x":null}}],"secret":"${env:A}"})");
  // No reference, though it begins like one.
  EXPECT_EQ(RedactJson(R"({"secret":"${env:A}hunter2}"})"), R"({"secret":"[redacted]"})");
  EXPECT_EQ(RedactJson(R"("Bearer abc123")"), R"("Bearer [redacted]")");
  EXPECT_EQ(RedactJson("nonsense"), R"({"unreadable_bytes":8})");
  EXPECT_EQ(RedactJson(""), R"({"unreadable_bytes":0})");
  EXPECT_EQ(RedactJson(std::string(1'000, '[')), R"({"unreadable_bytes":1000})");
}

}  // namespace
}  // namespace weir::management::audit
