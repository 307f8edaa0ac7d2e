# The tests: one program of doctest cases, run file by file; small programs that Python tests
# compare with; and the Python tests.

find_path(MIMI_DOCTEST_INCLUDE_DIR doctest/doctest.h REQUIRED)
# Debian's own Python, which has Debian's NumPy, whatever else PATH offers.
set(MIMI_PYTHON /usr/bin/python3)
set(MIMI_TEST_PYTHON ${PROJECT_SOURCE_DIR}/build/venv/bin/python
    CACHE FILEPATH "A Python that has tests/requirements.txt")

set(test_environment
    MIMI_BUILD_DIR=${PROJECT_BINARY_DIR} MIMI_SOURCE_DIR=${PROJECT_SOURCE_DIR}
    MIMI_TEST_MODELS=${MIMI_TEST_MODELS} MIMI_PYTHON=${MIMI_TEST_PYTHON} CXX=${CMAKE_CXX_COMPILER}
    LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/leaks.txt:print_suppressions=0)
if(MIMI_BUILD_CLI)
  list(APPEND test_environment MIMI_BIN=$<TARGET_FILE:mimi>)
endif()

add_test(NAME make_models COMMAND ${MIMI_PYTHON} ${PROJECT_SOURCE_DIR}/tests/make_models.py
                                  ${MIMI_TEST_MODELS})
set_tests_properties(make_models PROPERTIES FIXTURES_SETUP models)

# Labels name what the slow runs (sanitizers, qemu) leave out: `full`, work with a model of the real
# size, and what watches the heap; `install`, tests of files rather than of code; `slurm`, which is
# about scripts; and `faults`, which needs the allocator, memory limits or a library's place before
# all others for itself.
function(mimi_set_up_test name)
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "${test_environment}" FIXTURES_REQUIRED models)
  if(name MATCHES "_full|^test_soak")
    set_tests_properties(${name} PROPERTIES LABELS full)
  elseif(name MATCHES "^test_(completions|install|peers|readers)")
    set_tests_properties(${name} PROPERTIES LABELS install)
  elseif(name MATCHES "^test_slurm")
    set_tests_properties(${name} PROPERTIES LABELS slurm)
  elseif(name MATCHES "^test_(faults|limits|small_disk)")
    set_tests_properties(${name} PROPERTIES LABELS faults)
  endif()
endfunction()

# Without the command line (a cross build), what includes it is left out.
function(mimi_tests_that_build result)
  set(sources ${ARGN})
  if(NOT MIMI_BUILD_CLI)
    foreach(source IN LISTS ARGN)
      file(STRINGS ${source} cli_includes REGEX "#include \"cli/")
      if(cli_includes)
        list(REMOVE_ITEM sources ${source})
      endif()
    endforeach()
  endif()
  set(${result} ${sources} PARENT_SCOPE)
endfunction()

# test_*.cpp hold tests, write_*.cpp and kernel_check.cpp are programs, and the others serve the
# tests.
file(GLOB test_sources CONFIGURE_DEPENDS tests/test_*.cpp)
file(GLOB writer_sources CONFIGURE_DEPENDS tests/write_*.cpp)
file(GLOB check_sources CONFIGURE_DEPENDS tests/kernel_*.cpp)
file(GLOB support_sources CONFIGURE_DEPENDS tests/*.cpp)
list(REMOVE_ITEM test_sources ${PROJECT_SOURCE_DIR}/tests/test_main.cpp)
list(REMOVE_ITEM support_sources ${test_sources} ${writer_sources} ${check_sources})
mimi_tests_that_build(test_sources ${test_sources})
mimi_tests_that_build(support_sources ${support_sources})

# It has kernels inside.
set_source_files_properties(tests/emulated_amx.cpp PROPERTIES COMPILE_OPTIONS
                                                              "-ffp-contract=off;-fno-math-errno")
add_executable(mimi_tests ${support_sources} ${test_sources})
target_include_directories(mimi_tests SYSTEM PRIVATE ${MIMI_DOCTEST_INCLUDE_DIR}
                                                     ${MIMI_JSON_INCLUDE_DIR})
target_link_libraries(mimi_tests PRIVATE libmimi)
if(MIMI_BUILD_CLI)
  target_link_libraries(mimi_tests PRIVATE mimi_cli)
endif()

foreach(source IN LISTS test_sources)
  cmake_path(GET source STEM name)
  add_test(NAME ${name} COMMAND mimi_tests --source-file=*/${name}.cpp)
  mimi_set_up_test(${name})
endforeach()

# Every kernel on every instruction set; with --time, how long each call takes.
add_executable(kernel_check ${check_sources} tests/emulated_amx.cpp tests/guarded.cpp
                            tests/reference.cpp)
target_link_libraries(kernel_check PRIVATE libmimi)
add_test(NAME kernel_check COMMAND kernel_check)
# Machines that lack instructions, and whether what one has is found.
if(CMAKE_CROSSCOMPILING_EMULATOR MATCHES qemu-aarch64)
  foreach(machine cortex-a57:neon cortex-a76:neondotprod max:neoni8mm)
    string(REPLACE ":" ";" machine ${machine})
    list(GET machine 0 cpu)
    list(GET machine 1 best)
    add_test(NAME kernel_check_${cpu} COMMAND kernel_check)
    add_test(NAME kernel_check_${cpu}_${best} COMMAND kernel_check --isa ${best} int8.panel)
    set_tests_properties(kernel_check_${cpu} kernel_check_${cpu}_${best}
                         PROPERTIES ENVIRONMENT QEMU_CPU=${cpu})
  endforeach()
endif()

mimi_tests_that_build(writer_sources ${writer_sources})
foreach(source IN LISTS writer_sources)
  cmake_path(GET source STEM name)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE libmimi)
endforeach()

if(MIMI_BUILD_CLI)
  # Preloaded by test_faults.py and test_small_disk.py.
  foreach(shim fault_shim small_disk)
    add_library(${shim} MODULE tests/faults/${shim}.cpp)
    target_link_libraries(${shim} PRIVATE ${CMAKE_DL_LIBS})
    # A read() of its own cannot stand beside the C library's checked inline one. SHELL: keeps CMake
    # from dropping the option as one that was given before.
    target_compile_options(${shim} PRIVATE "SHELL:-U_FORTIFY_SOURCE")
    set_target_properties(${shim} PROPERTIES PREFIX "")
  endforeach()

  file(GLOB python_tests CONFIGURE_DEPENDS tests/test_*.py)
  foreach(source IN LISTS python_tests)
    cmake_path(GET source STEM name)
    add_test(NAME ${name}.py COMMAND ${MIMI_PYTHON} ${source})
    mimi_set_up_test(${name}.py)
  endforeach()
endif()
