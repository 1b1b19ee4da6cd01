# Flags shared by every target, and the three functions with which a folder declares itself.

add_library(weir_flags INTERFACE)
target_compile_options(weir_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
                                            -Wnon-virtual-dtor -Woverloaded-virtual -fno-omit-frame-pointer)
target_include_directories(weir_flags INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
                                                $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                $<INSTALL_INTERFACE:include>)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  # The memory store swaps a 16-byte cell at once (cmpxchg16b); every x86-64 since 2006 has it.
  target_compile_options(weir_flags INTERFACE -mcx16)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports these two falsely on std::expected, std::variant and inlined strings.
  target_compile_options(weir_flags INTERFACE -Wno-maybe-uninitialized -Wno-restrict)
  # __int128 holds exact intermediate products; -Wpedantic would refuse it.
endif()
if(WEIR_SANITIZE)
  target_compile_options(weir_flags INTERFACE -fsanitize=${WEIR_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(weir_flags INTERFACE -fsanitize=${WEIR_SANITIZE})
  # Not the compiler's own macro: what borrows another library's layout takes that back (proto/).
  if(WEIR_SANITIZE STREQUAL "thread")
    target_compile_definitions(weir_flags INTERFACE WEIR_TSAN)
    if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
      # The static runtime brings an operator new that a test program's own, which counts, cannot replace.
      execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libclang_rt.tsan-${CMAKE_SYSTEM_PROCESSOR}.so
                      OUTPUT_VARIABLE runtime OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
      cmake_path(GET runtime PARENT_PATH runtime)
      target_link_options(weir_flags INTERFACE -shared-libsan -Wl,-rpath,${runtime})
    endif()
  endif()
endif()

find_program(WEIR_MOLD mold)
if(WEIR_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# weir_library(NAME [ROOMS folders...] [DEPS targets...]): the *.cc of this folder and of its ROOMS, without tests and
# benchmarks, as weir::NAME. Their *_test.cc become the test program weir_NAME_test; *_redistest.cc weir_NAME_redistest and
# *_pgtest.cc weir_NAME_pgtest.
function(weir_library name)
  cmake_parse_arguments(arg "" "" "ROOMS;DEPS;TEST_DEPS" ${ARGN})
  set(patterns *.cc)
  foreach(room ${arg_ROOMS})
    list(APPEND patterns ${room}/*.cc)
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_(test|redistest|pgtest|benchmark|fuzz)\\.cc$")
  add_library(weir_${name} STATIC ${sources})
  add_library(weir::${name} ALIAS weir_${name})
  set_target_properties(weir_${name} PROPERTIES EXPORT_NAME ${name})
  target_link_libraries(weir_${name} PUBLIC weir_flags ${arg_DEPS})
  foreach(kind test redistest pgtest)
    set(kind_sources ${tests})
    list(FILTER kind_sources INCLUDE REGEX "_${kind}\\.cc$")
    if(WEIR_TESTS AND kind_sources)
      weir_test(weir_${name}_${kind} SOURCES ${kind_sources} DEPS weir_${name} ${arg_TEST_DEPS})
    endif()
  endforeach()
endfunction()

# weir_test(NAME SOURCES files... DEPS targets...): one GoogleTest program, each of its cases a ctest.
function(weir_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE weir_flags ${arg_DEPS} GTest::gtest_main ${RAPIDCHECK_LIBRARY})
  if(WEIR_SANITIZE)
    # Checked just as much, and compiled in half the time.
    target_compile_options(${name} PRIVATE -O0)
  endif()
  # Tests read their fixtures by path from the source tree. Only those that do are given the path: the others compile to
  # the same in any checkout, and ccache finds them.
  foreach(source ${arg_SOURCES})
    file(STRINGS ${source} reads_the_tree REGEX WEIR_SOURCE_DIR LIMIT_COUNT 1)
    if(reads_the_tree)
      set_property(SOURCE ${source} APPEND PROPERTY COMPILE_DEFINITIONS WEIR_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    endif()
  endforeach()
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 120 PROPERTIES TIMEOUT 300)
endfunction()

if(WEIR_TESTS)
  include(GoogleTest)
  include(CTest)
endif()
