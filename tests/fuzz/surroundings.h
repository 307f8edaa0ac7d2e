// What several fuzz targets need of the machine.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

// The small checkpoint in that layout, hf or kyutai, of the folder that MIMI_FUZZ_CHECKPOINTS
// names. Absolute: a target may work in another folder.
inline std::string checkpoint_folder(const char* layout) {
  const char* const folder = std::getenv("MIMI_FUZZ_CHECKPOINTS");
  if (folder == nullptr) std::abort();
  static const std::string absolute = std::filesystem::absolute(folder);
  return absolute + "/" + layout;
}

// Messages of the program go nowhere; the sanitizers have its number.
inline void hush() {
  static std::FILE* const nowhere = stderr = std::fopen("/dev/null", "w");
  if (nowhere == nullptr) std::abort();
}
