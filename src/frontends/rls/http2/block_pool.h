// Memory for nghttp2, which allocates about ten small blocks a request: free lists of the thread instead of malloc.
// Internal to rls.
#pragma once

#include <nghttp2/nghttp2.h>

namespace weir::rls {

// Valid for the life of the process. A block may be freed by another thread than the one that allocated it; it is then
// kept there. Under AddressSanitizer it is plain malloc, which sees more.
nghttp2_mem* PooledMemory();

}  // namespace weir::rls
