// The quantiser in double precision, to tell a code that rounding decides from a wrong one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/checkpoint.h"

namespace mimi::test {

// What became of one frame whose codes differ from the expected ones.
struct Verdict {
  bool excused = true;
  std::string report;  // one line for each level where rounding decides, or that is wrong
};

class ExactQuantizer {
 public:
  explicit ExactQuantizer(Checkpoint checkpoint);

  // Codes of a frame, level by level, and the latent [hidden] that they quantise. Up to the first
  // difference of a branch both must be right, or within a tie of the best entry; from there on
  // the expected codes must be, each on the residual that the expected codes before it leave. A tie
  // is a squared distance within 1e-5 of the projected latent's squared norm.
  Verdict judge(std::span<const float> latent, std::span<const std::uint16_t> expected,
                std::span<const std::uint16_t> found) const;

 private:
  struct Branch {
    std::size_t first_level;
    Floats projection;              // [dim x hidden]
    std::vector<Floats> codebooks;  // [size x dim]
  };
  void add_branch(const std::string& name, std::size_t first_level, int levels);
  void judge_branch(const Branch& branch, std::span<const float> latent,
                    std::span<const std::uint16_t> expected, std::span<const std::uint16_t> found,
                    Verdict& verdict) const;

  Checkpoint checkpoint_;  // whose mapped tensors the branches view
  std::size_t dim_;
  std::vector<Branch> branches_;
};

}  // namespace mimi::test
