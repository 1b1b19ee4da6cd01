// What tests of the audit log have in common. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/test_directory.h"
#include "management/audit/audit_log.h"
#include "management/audit/verify.h"

namespace weir::management::audit {

inline constexpr Nanos kNow = 1'800'000'000 * kSecond;

inline LogOptions In(const TestDirectory& directory) {
  return {.directory = directory / "audit", .node = "n1", .version = "0.1.0"};
}

inline std::unique_ptr<AuditLog> OpenLog(const LogOptions& options, Nanos now = kNow) {
  auto log = AuditLog::Open(options, now);
  EXPECT_TRUE(log) << log.error().message;
  return log ? std::move(*log) : nullptr;
}

inline Record Update(const std::string& id, const std::string& actor = "ops") {
  Record record;
  record.actor = {
      .name = actor, .kind = "service", .roles = {"editor"}, .tenant = "", .method = "token", .credential = "tok_1"};
  record.action = "update:users";
  record.object = {.kind = "users", .id = id, .tenant = "acme"};
  record.before = R"({"rule":{"max_requests":10}})";
  record.after = R"({"rule":{"max_requests":20}})";
  record.address = "192.0.2.1";
  record.user_agent = "weir-cli/0.1";
  record.request_id = "r-" + id;
  record.status = 200;
  return record;
}

inline std::string Slurp(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}
inline void Spill(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

inline std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}
inline std::string Join(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

inline Report Verified(const std::string& directory, const VerifyOptions& options = {}) {
  const auto report = Verify(directory, options);
  EXPECT_TRUE(report) << report.error().message;
  return report ? *report : Report{.fault = Fault{.what = "no report"}};
}

}  // namespace weir::management::audit
