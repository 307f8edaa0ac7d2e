#include "cli/dataset/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "cli/dataset/file_io.h"
#include "cli/named_error.h"

namespace mimi::cli {
namespace {

constexpr std::size_t kBufferBytes = 1 << 16;

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder;
}

// A new file, whatever was there: a link that a stranger left is not followed.
int create(const std::string& path) {
  unlink(path.c_str());
  return open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
}

// What is in the place already stays, and is no failure.
int put_where_none_is(const std::string& part, const std::string& place) {
  int failed = link(part.c_str(), place.c_str());
  if (failed != 0 && (errno == EPERM || errno == EOPNOTSUPP)) {  // a file system without links
    failed = renameat2(AT_FDCWD, part.c_str(), AT_FDCWD, place.c_str(), RENAME_NOREPLACE);
  }
  if (failed != 0 && errno != EEXIST) return failed;
  unlink(part.c_str());
  return 0;
}

}  // namespace

DurableFile::DurableFile(const std::string& place, const std::string& part)
    : place_(place), part_(part), file_(create(part)) {
  if (!file_) throw NamedError(place_, std::string("cannot create: ") + std::strerror(errno));
}

DurableFile::~DurableFile() {
  if (file_) unlink(part_.c_str());
}

void DurableFile::write(std::span<const std::uint8_t> bytes) {
  if (pending_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() > kBufferBytes) {
    write_all(file_.get(), bytes, place_);
  } else {
    pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  }
}

void DurableFile::flush() {
  write_all(file_.get(), pending_, place_);
  pending_.clear();
}

void DurableFile::commit(IfThere if_there) {
  flush();
  sync_file(file_.get(), place_);
  move_into_place(if_there);
  sync_folder(folder_of(place_));
}

void DurableFile::commit_without_sync() {
  flush();
  move_into_place(IfThere::kReplace);
}

void DurableFile::move_into_place(IfThere if_there) {
  make_folder(folder_of(place_));
  const int failed = if_there == IfThere::kKeep ? put_where_none_is(part_, place_)
                                                : rename(part_.c_str(), place_.c_str());
  if (failed != 0) {
    throw NamedError(place_, std::string("cannot be put into place: ") + std::strerror(errno));
  }
  if (file_.reset() != 0) {
    throw NamedError(place_, std::string("cannot write: ") + std::strerror(errno));
  }
}

}  // namespace mimi::cli
