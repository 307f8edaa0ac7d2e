#include "cli/dataset/journal.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cli/dataset/file_io.h"
#include "cli/named_error.h"
#include "core/byte_order.h"
#include "core/crc32c.h"

namespace mimi::cli {
namespace {

// Before each record: a magic number, its size, and the CRC-32C of the size and the record.
constexpr std::size_t kHeadBytes = 12;
constexpr std::uint32_t kMagic = 0x4A6D694D;
constexpr std::uint32_t kMostRecordBytes = 1 << 28;

std::uint32_t checksum(std::uint32_t size, std::span<const std::byte> record) {
  std::vector<std::byte> size_bytes;
  append_little_endian(size, size_bytes);
  return crc32c(crc32c(0, size_bytes), record);
}

std::span<std::uint8_t> as_uint8(std::span<std::byte> bytes) {
  return {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()};
}

}  // namespace

Journal::Journal(const std::string& path, std::string_view owner, const Take& take)
    : path_(path), file_(lock_new_file(path)) {
  const std::span<const std::byte> owner_bytes = std::as_bytes(std::span(owner));
  replay(owner_bytes, take);
  if (end_ == 0) append(owner_bytes);
}

void Journal::replay(std::span<const std::byte> owner, const Take& take) {
  struct stat status {};
  if (fstat(file_.get(), &status) != 0) throw NamedError(path_, std::strerror(errno));
  std::vector<std::byte> record;
  while (read_record(status.st_size, record)) {
    const std::int64_t place = end_ + static_cast<std::int64_t>(kHeadBytes);
    const bool is_taken = end_ == 0
                              ? std::equal(record.begin(), record.end(), owner.begin(), owner.end())
                              : take(place, record);
    if (!is_taken) break;
    end_ = place + static_cast<std::int64_t>(record.size());
  }
  if (ftruncate(file_.get(), end_) != 0) throw NamedError(path_, std::strerror(errno));
  lseek(file_.get(), end_, SEEK_SET);
}

// The record that begins where the last one ended. False where none is whole there.
bool Journal::read_record(std::int64_t file_bytes, std::vector<std::byte>& record) const {
  if (file_bytes - end_ < static_cast<std::int64_t>(kHeadBytes)) return false;
  std::array<std::byte, kHeadBytes> head;
  read_all_at(file_.get(), end_, as_uint8(head), path_);
  LittleEndianParser parser(head);
  const std::uint32_t magic = parser.u32(), size = parser.u32(), crc = parser.u32();
  const std::int64_t begin = end_ + static_cast<std::int64_t>(kHeadBytes);
  if (magic != kMagic || size > kMostRecordBytes || file_bytes - begin < size) return false;
  record.resize(size);
  read_all_at(file_.get(), begin, as_uint8(record), path_);
  return checksum(size, record) == crc;
}

std::int64_t Journal::append(std::span<const std::byte> record) {
  const auto size = static_cast<std::uint32_t>(record.size());
  std::vector<std::byte> bytes;
  bytes.reserve(kHeadBytes + record.size());
  append_little_endian(kMagic, bytes);
  append_little_endian(size, bytes);
  append_little_endian(checksum(size, record), bytes);
  bytes.insert(bytes.end(), record.begin(), record.end());
  const std::lock_guard guard(mutex_);
  try {
    write_all(file_.get(), as_uint8(bytes), path_);
  } catch (const Error&) {
    // What was begun would be cut off by the next start too.
    if (ftruncate(file_.get(), end_) == 0) lseek(file_.get(), end_, SEEK_SET);
    throw;
  }
  const std::int64_t place = end_ + static_cast<std::int64_t>(kHeadBytes);
  end_ += static_cast<std::int64_t>(bytes.size());
  return place;
}

void Journal::read(std::int64_t offset, std::span<std::byte> bytes) const {
  read_all_at(file_.get(), offset, as_uint8(bytes), path_);
}

void Journal::sync() {
  std::int64_t end = 0;
  {
    const std::lock_guard guard(mutex_);
    end = end_;
  }
  if (end == synced_) return;
  if (synced_ == 0) sync_folder(std::filesystem::path(path_).parent_path());
  if (fdatasync(file_.get()) != 0) {
    throw NamedError(path_, std::string("cannot write: ") + std::strerror(errno));
  }
  synced_ = end;
}

void Journal::remove() { unlink(path_.c_str()); }

}  // namespace mimi::cli
