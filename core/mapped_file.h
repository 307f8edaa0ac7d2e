#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace mimi {

// The content of a regular file, mapped for reading while the object lives.
class MappedFile {
 public:
  // Throws Error naming the path and what the system said.
  explicit MappedFile(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Unmaps the whole pages of a part of bytes(), until they are next read.
  void release(std::span<const std::byte> part) const;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// The path of the mapped file that `address` lies in, or nullptr. For a handler of SIGBUS, which is
// what reading beyond the end of a file that was cut short gives: it allocates nothing.
const char* mapped_file_at(const void* address);

}  // namespace mimi
