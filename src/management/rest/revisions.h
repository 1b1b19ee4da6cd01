// Lists of what has the number of a revision: revisions themselves, approvals, rollouts. The newest first, page by
// page.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <expected>

#include "management/rest/problem.h"

namespace weir::management::rest {

class Api;
struct Context;

struct NumberedPage {
  std::uint64_t before = 0;  // numbers below it; 0: all
  std::size_t most = 100;
};
// What the query asks for.
std::expected<NumberedPage, Problem> NumberedPageOf(const Api& api, const Context& context);
// `before`: of the page behind these items; 0: there is none.
boost::json::object NumberedList(const Api& api, const Context& context, boost::json::array items,
                                 std::uint64_t before);

}  // namespace weir::management::rest
