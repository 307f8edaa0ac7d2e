#include "cli/dataset/expected_work.h"

#include <sys/stat.h>

#include <string_view>

namespace mimi::cli {
namespace {

// Of speech as it is mostly kept: one channel at 24 kHz.
double bytes_per_second(std::string_view name) {
  for (const std::string_view lossy : {".opus", ".ogg", ".oga", ".mp3"}) {
    if (name.ends_with(lossy)) return 4000;
  }
  return name.ends_with(".flac") ? 24000 : 48000;
}

}  // namespace

double expected_seconds(const Row& row) {
  if (row.end_s) return *row.end_s - row.start_s.value_or(0);
  if (row.member)
    return static_cast<double>(row.member->bytes) / bytes_per_second(row.member->name);
  struct stat status {};
  if (stat(row.source.c_str(), &status) != 0) return 0;
  return static_cast<double>(status.st_size) / bytes_per_second(row.source);
}

}  // namespace mimi::cli
