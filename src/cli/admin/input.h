// What commands read from files and standard input, and print.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <vector>

#include "cli/admin/commands.h"
#include "cli/admin/outcome.h"

namespace weir::cli::admin {

// A regular file of at most 16 MiB; "-": standard input.
Outcome<std::string> ReadInput(const std::string& file);
// YAML or JSON, as a value.
Outcome<boost::json::value> ReadValue(const std::string& file);

// "team=core", each at most once, as an object.
Outcome<boost::json::object> LabelsOf(const std::vector<std::string>& labels);

// Whether the answer says that a second person has to approve the change first; then that is told.
bool TellWaiting(const ServerAnswer& answer, bool as_json);

// "revision 7"; empty: the answer names none.
std::string RevisionText(const boost::json::value& body);

// On standard error, when a list has more than was asked for.
void TellTruncated(const boost::json::object& list);

void PrintTable(const std::vector<std::vector<std::string>>& rows, std::string_view none);

}  // namespace weir::cli::admin
