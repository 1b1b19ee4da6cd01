// JSON Merge Patch (RFC 7396).
#pragma once

#include <boost/json/value.hpp>

namespace weir::management::rest {

// What `target` becomes: members of `patch` replace, null removes, objects are merged member by member. As deep as the
// parser of `patch` allowed.
void MergePatch(boost::json::value& target, const boost::json::value& patch);

}  // namespace weir::management::rest
