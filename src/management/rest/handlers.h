// The parts of the route table, and what handlers share.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <expected>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/source/config_store.h"
#include "config/source/loader.h"
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
void AddOidcRoutes(std::vector<Route>& routes);
void AddSimulateRoutes(std::vector<Route>& routes);
void AddStatusRoutes(std::vector<Route>& routes);
void AddCandidateRoutes(std::vector<Route>& routes);
void AddApprovalRoutes(std::vector<Route>& routes);
void AddRolloutRoutes(std::vector<Route>& routes);

// A JSON object with these members and no others; an empty text is an empty object. Depth is bounded.
std::expected<boost::json::object, Problem> ReadObject(std::string_view text,
                                                       std::initializer_list<std::string_view> members);
// nullopt: not there, or no text.
std::optional<std::string> TextOf(const boost::json::object& object, std::string_view member);
// Present and of another type than text.
bool IsMalformedText(const boost::json::object& object, std::string_view member);

// What comes over the API makes the host run no script (`lua:`) and read neither its environment nor its files
// (`${...}`): those are the operator's to write, in a file. To be asked before anything is compiled. `json`: as a
// writer leaves it, with no more escaped than must be.
std::optional<Problem> RefuseHostAccess(std::string_view json);
// Of a whole document, JSON or YAML. One that cannot be read is left to whoever tells its faults.
std::optional<Problem> RefuseHostAccessOfDocument(std::string_view text);

// What makes the policy of the store (with kReplace: everything in it) this document.
std::expected<std::vector<config::RecordWrite>, Problem> ReadDocumentChanges(Api& api, const std::string& text,
                                                                             config::Entities entities);
// As the API shows it: "rolling_out".
std::string_view NameOfState(config::RevisionState state);
boost::json::object ToJsonObject(const config::Revision& revision);
// The number of a revision in a path.
std::expected<std::uint64_t, Problem> RevisionNumber(std::string_view text);

}  // namespace weir::management::rest
