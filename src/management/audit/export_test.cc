#include "management/audit/export.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "management/audit/chain.h"

namespace weir::management::audit {
namespace {

Record Sample() {
  Record record;
  record.time = 1'800'000'000 * kSecond + 123'456'789;
  record.node = "n1";
  record.version = "0.1.0";
  record.actor = {.name = "ann",
                  .kind = "person",
                  .roles = {"editor", "viewer@acme"},
                  .tenant = "",
                  .method = "oidc",
                  .credential = "ses_1"};
  record.action = "update:users";
  record.object = {.kind = "users", .id = "bob", .tenant = "acme"};
  record.before = R"({"max_requests":10})";
  record.after = R"({"max_requests":20})";
  record.address = "192.0.2.1";
  record.user_agent = "curl/8";
  record.request_id = "r1";
  record.status = 200;
  record.reason = "until Friday";
  record.seq = 7;
  record.hash = "ab";
  return record;
}

TEST(Export, NdjsonIsTheLineAsItIs) {
  Link link;
  std::string line;
  AppendLinked(EncodeBody(Sample()), &link, &line);
  line.pop_back();
  EXPECT_EQ(ExportRecord(ExportFormat::kNdjson, ParseRecord(line).value(), line), line + "\n");
  Link start;
  EXPECT_TRUE(Follow(line, &start));
}

TEST(Export, CsvHasAsManyCellsAsColumns) {
  const std::string head = ExportHead(ExportFormat::kCsv);
  const std::string row = ExportRecord(ExportFormat::kCsv, Sample(), "");
  EXPECT_EQ(
      row,
      "7,2027-01-15T08:00:00.123456789Z,n1,0.1.0,ann,person,editor viewer@acme,,oidc,ses_1,update:users,users,bob,acme,"
      "success,200,until Friday,192.0.2.1,r1,ab\r\n");
  EXPECT_EQ(std::count(head.begin(), head.end(), ','), std::count(row.begin(), row.end(), ','));
}

TEST(Export, CsvIsNoProgram) {
  Record record = Sample();
  record.object.id = "=HYPERLINK(\"http://evil\",\"x\")";
  record.reason = "a,\"b\"\r\nc";
  record.actor.name = "@SUM(1)";
  const std::string row = ExportRecord(ExportFormat::kCsv, record, "");
  EXPECT_NE(row.find(",\"'=HYPERLINK(\"\"http://evil\"\",\"\"x\"\")\","), std::string::npos) << row;
  EXPECT_NE(row.find(",\"a,\"\"b\"\"\r\nc\","), std::string::npos);
  EXPECT_NE(row.find(",\"'@SUM(1)\","), std::string::npos);
}

TEST(Export, OcsfIsApiActivity) {
  const auto event = boost::json::parse(ExportRecord(ExportFormat::kOcsf, Sample(), "")).as_object();
  EXPECT_EQ(event.at("class_uid"), 6003);
  EXPECT_EQ(event.at("category_uid"), 6);
  EXPECT_EQ(event.at("activity_id"), 3);
  EXPECT_EQ(event.at("type_uid"), 600303);
  EXPECT_EQ(event.at("time"), 1'800'000'000'123);
  EXPECT_EQ(event.at("status_id"), 1);
  EXPECT_EQ(event.at("severity_id"), 1);
  EXPECT_EQ(event.at("actor").at("user").at("name"), "ann");
  EXPECT_EQ(event.at("api").at("operation"), "update:users");
  EXPECT_EQ(event.at("src_endpoint").at("ip"), "192.0.2.1");
  EXPECT_EQ(event.at("metadata").at("product").at("name"), "weir");
  EXPECT_EQ(event.at("resources").at(0).at("uid"), "bob");
  EXPECT_EQ(event.at("unmapped").at("after").at("max_requests"), 20);
  Record denied = Sample();
  denied.outcome = Outcome::kDenied;
  denied.action = "delete:bans";
  const auto other = boost::json::parse(ExportRecord(ExportFormat::kOcsf, denied, "")).as_object();
  EXPECT_EQ(other.at("status_id"), 2);
  EXPECT_EQ(other.at("type_uid"), 600304);
  for (const auto& [action, activity] : std::initializer_list<std::pair<const char*, int>>{{"create:keys", 1},
                                                                                           {"read:audit", 2},
                                                                                           {"export:audit", 2},
                                                                                           {"rollback:revisions", 3},
                                                                                           {"audit.begin", 99},
                                                                                           {"", 99}}) {
    denied.action = action;
    EXPECT_EQ(boost::json::parse(ExportRecord(ExportFormat::kOcsf, denied, "")).at("activity_id"), activity) << action;
  }
}

TEST(Export, SyslogIsRfc5424) {
  EXPECT_EQ(
      SyslogMessage(Sample(), "{}", {.host = "", .process = "42"}),
      "<110>1 2027-01-15T08:00:00.123456Z n1 weir 42 update:users [weir@32473 seq=\"7\" actor=\"ann\" method=\"oidc\" "
      "object=\"users\" id=\"bob\" tenant=\"acme\" outcome=\"success\" address=\"192.0.2.1\" request=\"r1\" "
      "hash=\"ab\"] "
      "\xEF\xBB\xBF{}");
  Record record = Sample();
  record.outcome = Outcome::kError;
  record.node = "a host\nwith " + std::string(400, 'x');
  record.action = std::string(100, 'y');
  record.object.id = "a\"b]c\\d\ne";
  const std::string message = SyslogMessage(record, "{}", {});
  EXPECT_TRUE(message.starts_with("<108>1 "));
  EXPECT_NE(message.find(" a_host_with_"), std::string::npos);
  EXPECT_NE(message.find(" " + std::string(32, 'y') + " "), std::string::npos);
  EXPECT_NE(message.find(R"(id="a\"b\]c\\d_e")"), std::string::npos);
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_EQ(SyslogFrame("abc"), "3 abc");
}

TEST(Export, FormatsHaveNames) {
  EXPECT_EQ(ExportFormatNamed("ocsf"), ExportFormat::kOcsf);
  EXPECT_EQ(ExportFormatNamed("ndjson"), ExportFormat::kNdjson);
  EXPECT_EQ(ExportFormatNamed("CSV"), std::nullopt);
}

}  // namespace
}  // namespace weir::management::audit
