# cmake -D INPUT=FILE -D OUTPUT=FILE.cc -P embed_descriptors.cmake: a serialised FileDescriptorSet as a C++ source.
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "// Generated from proto/.
#include \"frontends/rls/reflection/descriptors.h\"

namespace weir::rls {
namespace {

const unsigned char kBytes[] = {
${bytes}};

}  // namespace

std::string_view EmbeddedDescriptors() { return {reinterpret_cast<const char*>(kBytes), sizeof kBytes}; }

}  // namespace weir::rls
")
