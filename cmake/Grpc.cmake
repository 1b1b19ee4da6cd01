# Clients and servers of Google's own gRPC, for tests and benchmarks only: weir itself links neither it nor protobuf.
pkg_check_modules(grpcpp REQUIRED IMPORTED_TARGET grpc++ protobuf)
find_program(WEIR_PROTOC protoc REQUIRED)
find_program(WEIR_GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)

# weir_protos(TARGET): the messages and stubs of everything under proto/ that the rate limit and health services need.
function(weir_protos target)
  set(root ${PROJECT_SOURCE_DIR}/proto)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${target})
  file(MAKE_DIRECTORY ${out})
  file(GLOB_RECURSE protos RELATIVE ${root} CONFIGURE_DEPENDS ${root}/*.proto)
  set(sources "")
  foreach(proto ${protos})
    string(REGEX REPLACE "\\.proto$" "" stem ${proto})
    foreach(suffix pb grpc.pb)
      list(APPEND sources ${out}/${stem}.${suffix}.cc)
    endforeach()
  endforeach()
  list(TRANSFORM protos PREPEND ${root}/ OUTPUT_VARIABLE files)
  add_custom_command(OUTPUT ${sources} DEPENDS ${files}
                     COMMAND ${WEIR_PROTOC} -I${root} --cpp_out=${out} --grpc_out=${out}
                             --plugin=protoc-gen-grpc=${WEIR_GRPC_CPP_PLUGIN} ${files})
  add_library(${target} STATIC EXCLUDE_FROM_ALL ${sources})
  target_include_directories(${target} SYSTEM PUBLIC ${out})
  target_link_libraries(${target} PUBLIC PkgConfig::grpcpp)
endfunction()
