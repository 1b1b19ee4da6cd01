// The query of a request target, parameter by parameter.
#pragma once

#include <string>
#include <string_view>

namespace weir::http {

std::string_view TargetPath(std::string_view target);   // up to '?'
std::string_view TargetQuery(std::string_view target);  // behind it; empty when there is none

// Takes the first "name=value" off `query`, percent-decoded in both parts ('+' is a space). False: nothing is left.
bool NextParameter(std::string_view* query, std::string* name, std::string* value);

}  // namespace weir::http
