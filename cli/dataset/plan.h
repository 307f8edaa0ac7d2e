// All rows of a dataset, listed once and kept in a temporary file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cli/dataset/inputs.h"
#include "cli/dataset/output_places.h"
#include "cli/dataset/row.h"
#include "cli/dataset/sha256.h"
#include "cli/unique_fd.h"

namespace mimi::cli {

class Plan {
 public:
  // Lists the inputs. Throws mimi::Error when there is no row or two have the same id. Where each
  // has a file of its own, what its name ends with is `suffix`: no such file may be where another
  // needs a folder.
  explicit Plan(const InputOptions& options, std::string_view suffix = "");

  std::uint64_t rows() const { return static_cast<std::uint64_t>(counts_.rows); }
  const InputCounts& counts() const { return counts_; }
  // Of everything that the rows ask for.
  const std::string& sha256() const { return sha256_; }
  // From any thread.
  Row row(std::uint64_t number) const;

 private:
  void check_places(const OutputPlaces& places) const;

  InputCounts counts_;
  std::string sha256_;
  UniqueFd lines_;    // to_json() of each row
  UniqueFd offsets_;  // where each begins, and where the last ends: uint64
};

}  // namespace mimi::cli
