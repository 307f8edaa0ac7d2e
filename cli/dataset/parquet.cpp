#include "cli/dataset/parquet.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "cli/named_error.h"
#include "cli/unique_fd.h"

extern "C" {
extern const char kMimiToParquetBegin[];
extern const char kMimiToParquetEnd[];
}

namespace mimi::cli {
namespace {

std::string python() {
  const char* named = std::getenv("MIMI_PYTHON");
  return named != nullptr && *named != 0 ? named : "python3";
}

void run_script(const std::string& argument, int input, const TakeOutput& take) {
  lseek(input, 0, SEEK_SET);
  run_program({python(), "-c", {kMimiToParquetBegin, kMimiToParquetEnd}, argument}, input, take);
}

}  // namespace

std::string parquet_writer() {
  std::string version;
  try {
    const UniqueFd nothing(open("/dev/null", O_RDONLY | O_CLOEXEC));
    run_script("--version", nothing.get(), [&](std::span<const std::uint8_t> bytes) {
      version.append(bytes.begin(), bytes.end());
    });
    if (!version.ends_with('\n')) throw Error("its version is cut short");
  } catch (const Error& error) {
    throw Error("Parquet needs a Python with pyarrow and numpy, which '" + python() +
                "' is not; MIMI_PYTHON names another: " + error.what());
  }
  return version.substr(0, version.find('\n'));
}

void tar_to_parquet(int tar, const std::string& metadata, const std::string& name,
                    const TakeOutput& take) {
  naming(name, [&] { run_script(metadata, tar, take); });
}

void parquet_to_tar(int parquet, const std::string& name, const TakeOutput& take) {
  naming(name, [&] { run_script("--back", parquet, take); });
}

}  // namespace mimi::cli
