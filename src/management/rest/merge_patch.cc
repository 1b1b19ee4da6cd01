#include "management/rest/merge_patch.h"

#include <boost/json.hpp>

namespace weir::management::rest {

void MergePatch(boost::json::value& target, const boost::json::value& patch) {
  if (!patch.is_object()) {
    target = patch;
    return;
  }
  if (!target.is_object()) target = boost::json::object();
  boost::json::object& object = target.get_object();
  for (const auto& [name, value] : patch.get_object()) {
    if (value.is_null()) {
      object.erase(name);
    } else {
      MergePatch(object[name], value);
    }
  }
}

}  // namespace weir::management::rest
