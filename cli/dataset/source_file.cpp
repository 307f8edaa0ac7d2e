#include "cli/dataset/source_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "cli/byte_reader.h"
#include "cli/dataset/row_input.h"
#include "cli/named_error.h"

namespace mimi::cli {
namespace {

constexpr std::size_t kMostKnown = 64;
constexpr std::size_t kBufferBytes = 1 << 18;

Sha256Digest hash_all(ByteReader& bytes) {
  Sha256 hash;
  std::vector<std::uint8_t> buffer(kBufferBytes);
  while (const std::size_t count = bytes.read(buffer)) {
    hash.update(std::span(buffer).first(count));
  }
  return hash.finish();
}

}  // namespace

FileStamp stamp_of(const Row& row) {
  struct stat status {};
  if (stat(row.source.c_str(), &status) != 0) throw_system_error(row.name(), errno);
  if (S_ISDIR(status.st_mode)) throw NamedError(row.name(), "is a directory");
  if (!S_ISREG(status.st_mode)) throw NamedError(row.name(), "is not a regular file");
  return stamp_of(status);
}

Sha256Digest SourceHashes::of(const Row& row, const FileStamp& stamp) {
  const std::int64_t offset = row.member ? row.member->offset : 0;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(known_.begin(), known_.end(), [&](const Known& known) {
      return known.stamp == stamp && known.offset == offset;
    });
    if (found != known_.end()) {
      known_.splice(known_.begin(), known_, found);
      return known_.front().digest;
    }
  }
  const Sha256Digest digest = hash_all(*open_row(row));
  const std::lock_guard lock(mutex_);
  known_.push_front({stamp, offset, digest});
  if (known_.size() > kMostKnown) known_.pop_back();
  return digest;
}

}  // namespace mimi::cli
