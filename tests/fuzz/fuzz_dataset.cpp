// What `mimi verify` reads of a dataset that somebody else may have made: its files one after the
// other, between two bytes of 0x1E.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "cli/dataset/tokenize.h"
#include "core/error.h"

namespace {

namespace fs = std::filesystem;

constexpr std::array kFiles = {
    "dataset.json",     "manifest.jsonl",           "errors.jsonl", "index.json",
    "shard-000000.tar", "shard-000000.safetensors", "a.mimi",       "a.npy"};
constexpr std::string_view kSeparator = "\x1e\x1e";

// Gone with the process.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "mimi-fuzz-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
    stderr =
        std::fopen("/dev/null", "w");  // problems are told there; the sanitizers have its number
  }
  ~Folder() { fs::remove_all(path_); }

  std::string path() const { return path_; }

  // A file of nothing is not there.
  void fill(std::string_view files) const {
    for (const char* const name : kFiles) {
      const std::size_t end = files.find(kSeparator);
      const std::string_view text = files.substr(0, end);
      if (text.empty()) {
        fs::remove(path_ / name);
      } else {
        std::ofstream(path_ / name, std::ios::binary | std::ios::trunc) << text;
      }
      files = end == std::string_view::npos ? "" : files.substr(end + kSeparator.size());
    }
  }

 private:
  fs::path path_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view files(reinterpret_cast<const char*>(data), size);
  if (files.find("parquet") != std::string_view::npos) return 0;  // another program's to read
  static const Folder folder;
  folder.fill(files);
  mimi::cli::VerifyOptions options;
  options.dataset = folder.path();
  try {
    mimi::cli::run_verify(options, {});
  } catch (const mimi::Error&) {
    return 0;
  }
  return 0;
}
