#include "cli/admin/input.h"

#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>
#include <cstdio>

#include "base/file.h"
#include "cli/admin/values.h"
#include "cli/terminal.h"

namespace weir::cli::admin {

namespace json = boost::json;

Outcome<std::string> ReadInput(const std::string& file) {
  constexpr std::size_t kMost = config::kMaxDocumentBytes;
  std::string text;
  if (file == "-") {
    std::array<char, 65'536> part{};
    std::size_t got = 0;
    while (text.size() <= kMost && (got = std::fread(part.data(), 1, part.size(), stdin)) > 0)
      text.append(part.data(), got);
    if (std::ferror(stdin) != 0) return Misused("standard input cannot be read");
  } else {
    auto read = ReadRegularFile(file, kMost);
    if (!read) return Misused(read.error());
    text = std::move(*read);
  }
  if (text.size() > kMost) return Misused("'" + file + "' has more than 16 MiB");
  return text;
}

Outcome<json::value> ReadValue(const std::string& file) {
  const auto text = ReadInput(file);
  if (!text) return std::unexpected(text.error());
  const config::ParsedTree tree = config::ParseYamlTree(*text);  // JSON is YAML
  if (!tree.faults.empty()) {
    const Fault& fault = tree.faults.front();
    return std::unexpected(
        Complaint{.exit_code = kRefused,
                  .text = fmt::format("{}:{}:{}: {}", file, fault.line, fault.column, Printable(fault.message))});
  }
  return ToJson(tree.root);
}

Outcome<json::object> LabelsOf(const std::vector<std::string>& labels) {
  json::object out;
  for (const std::string& label : labels) {
    const std::size_t equals = label.find('=');
    if (equals == 0 || equals == std::string::npos) return Misused("a label is NAME=VALUE");
    if (!out.emplace(label.substr(0, equals), label.substr(equals + 1)).second) {
      return Misused("the label '" + Printable(label.substr(0, equals)) + "' is there twice");
    }
  }
  return out;
}

bool TellWaiting(const ServerAnswer& answer, bool as_json) {
  const std::string number = answer.status == 202 ? TextAt(answer.value, "approval") : "";
  if (number.empty()) return false;
  if (as_json) {
    fmt::print("{}", PrettyJson(answer.value));
  } else {
    fmt::print(stderr, "nothing has changed yet: a second person has to approve it (weir admin approve {})\n",
               Printable(number));
  }
  return true;
}

std::string RevisionText(const json::value& body) {
  for (const std::string_view member : {"revision", "number"}) {
    if (const std::string number = TextAt(body, member); !number.empty()) return "revision " + number;
  }
  return {};
}

void TellTruncated(const json::object& list) {
  if (list.contains("truncated")) fmt::print(stderr, "and more: --limit says how many are shown\n");
}

void PrintTable(const std::vector<std::vector<std::string>>& rows, std::string_view none) {
  if (rows.size() <= 1) {
    fmt::print("{}\n", none);
    return;
  }
  fmt::print("{}", Table(rows, TerminalWidth()));
}

}  // namespace weir::cli::admin
