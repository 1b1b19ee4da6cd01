#include "base/postgres_url.h"

#include <gtest/gtest.h>

#include <string>

namespace weir {
namespace {

TEST(PostgresUrl, HostsUserDatabaseAndParameters) {
  const auto url = ParsePostgresUrl(
      "postgresql://we%40ir:se%2Fcret@db1.internal:5433,[::1],db3/li%20mits?sslmode=verify-full&sslrootcert=%2Fca.pem");
  ASSERT_TRUE(url) << url.error().message;
  EXPECT_EQ(url->user, "we@ir");
  EXPECT_TRUE(url->has_password);
  EXPECT_EQ(url->database, "li mits");
  ASSERT_EQ(url->hosts.size(), 3u);
  EXPECT_EQ(url->hosts[0], (PostgresUrl::Host{"db1.internal", 5433}));
  EXPECT_EQ(url->hosts[1], (PostgresUrl::Host{"::1", 0}));
  EXPECT_EQ(url->hosts[2], (PostgresUrl::Host{"db3", 0}));
  ASSERT_EQ(url->parameters.size(), 2u);
  EXPECT_EQ(url->parameters[1].second, "/ca.pem");
  EXPECT_EQ(Describe(*url), "postgresql://db1.internal:5433,[::1],db3/li mits");
}

TEST(PostgresUrl, WhatMayBeLeftOut) {
  for (const char* const text : {"postgresql://", "postgres://", "postgresql:///", "postgresql:///weir", "postgres://h",
                                 "postgresql://weir@", "postgresql://h?sslmode=disable", "postgresql://h/?"}) {
    EXPECT_TRUE(ParsePostgresUrl(text)) << text;
  }
  const auto socket = ParsePostgresUrl("postgresql:///weir?host=/run/postgresql&port=5433&user=weir");
  ASSERT_TRUE(socket);
  ASSERT_EQ(socket->hosts.size(), 1u);
  EXPECT_EQ(socket->hosts[0], (PostgresUrl::Host{"/run/postgresql", 5433}));
}

TEST(PostgresUrl, FaultsAreToldWithoutTheText) {
  for (const char* const text : {"",
                                 "x",
                                 "mysql://secret",
                                 "postgresql:/secret",
                                 "postgresql://secret:secret@secret@h/d",
                                 "postgresql://u:se/cret@h/d",
                                 "postgresql://u:se cret@h/d",
                                 "postgresql://u:%zz@h/secret",
                                 "postgresql://u:%2@h",
                                 "postgresql://u:%00@h",
                                 "postgresql://h:0/secret",
                                 "postgresql://h:99999/secret",
                                 "postgresql://h:secret/d",
                                 "postgresql://[::1/secret",
                                 "postgresql://[secret]/d",
                                 "postgresql://[::1]secret/d",
                                 "postgresql://::1/secret",
                                 "postgresql://secret,,h/d",
                                 "postgresql://h/d/secret",
                                 "postgresql://h/d?secret",
                                 "postgresql://h/d?secret=1",
                                 "postgresql://h/d?password=secret",
                                 "postgresql://h/d?sslpassword=secret",
                                 "postgresql://h/d?sslmode=secret",
                                 "postgresql://h/d?target_session_attrs=secret",
                                 "postgresql://h/d?port=secret"}) {
    const auto url = ParsePostgresUrl(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(url.error().message.find("secret"), std::string::npos) << url.error().message;
  }
  EXPECT_FALSE(ParsePostgresUrl("postgresql://h/" + std::string(5000, 'd')));
  std::string many = "postgresql://h";
  for (int i = 0; i < 40; ++i) many += ",h";
  EXPECT_FALSE(ParsePostgresUrl(many));
}

}  // namespace
}  // namespace weir
