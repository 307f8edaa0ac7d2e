# The fuzz targets, tests/fuzz/fuzz_NAME.cpp, each with its seeds in tests/fuzz/seeds/NAME.

# Telling the fuzzer of each comparison took 70 % of the time of products and streams; the kernels' are
# those of loops.
target_compile_options(mimi_kernels PRIVATE -fno-sanitize-coverage=trace-cmp)

file(GLOB fuzz_sources CONFIGURE_DEPENDS tests/fuzz/fuzz_*.cpp)
foreach(source IN LISTS fuzz_sources)
  cmake_path(GET source STEM name)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE mimi_cli)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endforeach()
