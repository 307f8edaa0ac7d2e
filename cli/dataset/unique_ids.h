#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/unique_fd.h"

namespace mimi::cli {

// Finds out whether the same id was given twice. Ids are kept as hashes in a temporary file, so
// that millions of them need no memory.
class UniqueIds {
 public:
  UniqueIds();
  ~UniqueIds();
  UniqueIds(const UniqueIds&) = delete;
  UniqueIds& operator=(const UniqueIds&) = delete;

  void add(std::string_view id);
  // Two numbers, counted from 0 in the order of add(), whose ids are the same. To be called once,
  // at the end.
  std::optional<std::pair<std::uint64_t, std::uint64_t>> find_same();

 private:
  struct Entry;
  void flush();

  UniqueFd file_;
  std::uint64_t count_ = 0;
  std::vector<Entry> pending_;
};

}  // namespace mimi::cli
