// The answers to decided calls, as bytes appended to a connection's output.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "engine/engine.h"
#include "frontends/http/batch.h"
#include "http/response.h"

namespace weir::http {

// The denial of a forward-auth question that the client tampered with.
Plain MakeForgeryDenial(int deny_status, std::string_view detail);

// The answer to `pending`, whose calls in `batch` are complete.
void AppendAnswer(const Batch& batch, const Pending& pending, Nanos now, std::string* out);

}  // namespace weir::http
