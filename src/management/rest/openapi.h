// The API in OpenAPI 3.1, made of the route table and the document's JSON Schema.
#pragma once

#include <span>
#include <string>

#include "management/rest/route.h"

namespace weir::management::rest {

std::string OpenApiDocument(std::span<const Route> routes);

}  // namespace weir::management::rest
