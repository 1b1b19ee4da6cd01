// JSON Merge Patch (RFC 7396) of trees.
#pragma once

#include "config/document/node.h"

namespace weir::config {

// The target changed as the patch says: null removes, a mapping is merged, anything else replaces. The target keeps its
// key. Of a repeated key in the patch the last holds.
Node MergePatch(Node target, const Node& patch);

}  // namespace weir::config
