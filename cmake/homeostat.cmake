# What every target of the project shares.

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

set(HOMEOSTAT_SANITIZE "" CACHE STRING "Sanitizers for every target, as for -fsanitize=")

# Decisions must not depend on the machine's fused multiply-add.
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -ffp-contract=off)
if(CMAKE_UNITY_BUILD)
  # What one source declares for itself is no business of the next; presets that compile each alone tell what is.
  add_compile_options(-Wno-shadow)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  # libstdc++ 12 itself uses what it declares deprecated; clang tells of it where a template is instantiated.
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-deprecated-declarations>)
endif()
if(HOMEOSTAT_SANITIZE MATCHES thread)
  # GCC warns that it cannot follow fences; Asio has them for architectures that need them.
  add_compile_options(-Wno-tsan)
endif()
if(HOMEOSTAT_SANITIZE)
  add_compile_options(-fsanitize=${HOMEOSTAT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${HOMEOSTAT_SANITIZE})
endif()

# compile_alone(SOURCES...): what has a name of its own in its unnamed namespace that another source of the same target has
# too; or a type with linkage that is made of such types, of which GCC warns outside of a main file. Presets with
# CMAKE_UNITY_BUILD compile the other sources of a target together, in two thirds of the time.
function(compile_alone)
  set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# homeostat_library(NAME SOURCES... LINK TARGETS... [ALONE SOURCES...]): a static library, headers by their path from the
# root. ALONE repeats the sources that compile_alone() is for.
function(homeostat_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK;ALONE")
  compile_alone(${arg_ALONE})
  add_library(${name} STATIC ${arg_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${arg_LINK})
endfunction()

# homeostat_test(NAME SOURCES... LINK TARGETS... [ALONE SOURCES...] [ROOT]): a GoogleTest program in build/<preset>/tests.
# ROOT marks one that needs privileges and a kernel with eBPF.
function(homeostat_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "ROOT" "" "SOURCES;LINK;ALONE")
  compile_alone(${arg_ALONE})
  add_executable(${name} ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${arg_LINK} GTest::gtest_main)
  # What is tested is built as it ships; the tests themselves compile in half the time this way.
  target_compile_options(${name} PRIVATE $<$<NOT:$<CONFIG:Debug>>:-O1>)
  target_compile_definitions(${name} PRIVATE
    HOMEOSTAT_SOURCE_DIR="${PROJECT_SOURCE_DIR}" HOMEOSTAT_BINARY_DIR="${CMAKE_BINARY_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  if(arg_ROOT)
    set_tests_properties(${name} PROPERTIES LABELS root)
  endif()
endfunction()
