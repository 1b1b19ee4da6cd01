// nghttp2's C interface towards a GrpcSession. Internal to rls.
#pragma once

#include <nghttp2/nghttp2.h>

namespace weir::rls {

// One of each for the process. nghttp2 copies them into every session, whose user data must be its GrpcSession.
const nghttp2_session_callbacks* SessionCallbacks();
const nghttp2_option* SessionOptions();
// Reads the answer of the Exchange that is its source.
nghttp2_data_provider ReplyProvider(void* exchange);

}  // namespace weir::rls
