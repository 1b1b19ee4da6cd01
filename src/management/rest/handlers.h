// The parts of the route table, and what handlers share.
#pragma once

#include <boost/json/object.hpp>
#include <expected>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "management/rest/problem.h"
#include "management/rest/route.h"

namespace weir::management::rest {

void AddRevisionRoutes(std::vector<Route>& routes);
void AddCredentialRoutes(std::vector<Route>& routes);
void AddKeyRoutes(std::vector<Route>& routes);
void AddCounterRoutes(std::vector<Route>& routes);
void AddConfigRoutes(std::vector<Route>& routes);
void AddBulkRoutes(std::vector<Route>& routes);
void AddAccountRoutes(std::vector<Route>& routes);
void AddSimulateRoutes(std::vector<Route>& routes);
void AddStatusRoutes(std::vector<Route>& routes);

// A JSON object with these members and no others; an empty text is an empty object. Depth is bounded.
std::expected<boost::json::object, Problem> ReadObject(std::string_view text,
                                                       std::initializer_list<std::string_view> members);
// nullopt: not there, or no text.
std::optional<std::string> TextOf(const boost::json::object& object, std::string_view member);
// Present and of another type than text.
bool IsMalformedText(const boost::json::object& object, std::string_view member);

}  // namespace weir::management::rest
