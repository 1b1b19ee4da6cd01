#include "frontends/rls/envoy/settings.h"

#include <gtest/gtest.h>

namespace weir::rls {
namespace {

Request Filled(const AttributeTable& table, std::vector<Attribute> entries) {
  Request request;
  table.Fill(entries, request);
  return request;
}

TEST(AttributeTable, KnowsEnvoysKeys) {
  const AttributeTable table({});
  const Request request = Filled(table, {{"remote_address", "192.0.2.1"},
                                         {"user_id", "ann"},
                                         {"tenant", "acme"},
                                         {"tier", "pro"},
                                         {"api_key", "k"},
                                         {"country", "DE"},
                                         {"method", "GET"},
                                         {"path", "/a"},
                                         {"generic_key", "x"},
                                         {"", "y"},
                                         {std::string_view("0123456789012345678901234567890123456789"
                                                           "0123456789012345678901234567890123456789"),
                                          "z"}});
  EXPECT_EQ(request.peer_ip, "192.0.2.1");
  EXPECT_EQ(request.user, "ann");
  EXPECT_EQ(request.tenant, "acme");
  EXPECT_EQ(request.tier, "pro");
  EXPECT_EQ(request.api_key, "k");
  EXPECT_EQ(request.country, "DE");
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.path, "/a");
}

TEST(AttributeTable, AMaskedAddressIsAnAddress) {
  const AttributeTable table({});
  EXPECT_EQ(Filled(table, {{"masked_remote_address", "192.0.2.0/24"}}).peer_ip, "192.0.2.0");
  EXPECT_EQ(Filled(table, {{"masked_remote_address", "2001:db8::/64"}}).peer_ip, "2001:db8::");
  EXPECT_EQ(Filled(table, {{"path", "/a/b"}}).path, "/a/b");
}

TEST(AttributeTable, TheFirstEntryOfAThingHolds) {
  const AttributeTable table({});
  EXPECT_EQ(Filled(table, {{"user", "ann"}, {"user_id", "bob"}}).user, "ann");
}

TEST(AttributeTable, TheDocumentAddsAndTakesAway) {
  const std::string longest(100, 'k');
  const AttributeTable table({{"x-org", "tenant"}, {"user", "none"}, {"path", "user"}, {longest, "tier"}});
  const Request request = Filled(table, {{"user", "ann"}, {"x-org", "acme"}, {"path", "/p"}, {longest, "pro"}});
  EXPECT_EQ(request.user, "/p");
  EXPECT_EQ(request.path, "");
  EXPECT_EQ(request.tenant, "acme");
  EXPECT_EQ(request.tier, "pro");
}

}  // namespace
}  // namespace weir::rls
