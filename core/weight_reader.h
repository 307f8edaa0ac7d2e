// Reads a model's weights in parts that threads share out.
#pragma once

#include <functional>
#include <vector>

#include "core/checkpoint.h"
#include "kernels/gemm.h"

namespace mimi {

// The layers add what they need of the checkpoint, and run() reads it. Of parts of the model that
// nobody will use the tensors are looked at all the same: their shapes, their values and, for the
// model's fingerprint, their checksums.
class WeightReader {
 public:
  WeightReader(const kernels::Packing& packing, const Checkpoint& checkpoint)
      : packing_(packing), checkpoint_(checkpoint) {}

  const kernels::Packing& packing() const { return packing_; }
  const Checkpoint& checkpoint() const { return checkpoint_; }

  // Whether what is added from now on will be used.
  void keep(bool keeps) { keeps_ = keeps; }

  // `pack` reads the tensors and fills what it refers to, which must stay in its place until run()
  // has returned. Where nothing is kept, it is not called.
  void add(std::vector<TensorSpec> tensors, std::function<void()> pack);
  // Of all that was added.
  std::vector<TensorSpec> tensors() const;
  // Does what was added, on that many threads. Which error is thrown does not depend on them: that
  // of the part that was added first.
  void run(int threads);

 private:
  struct Part {
    std::vector<TensorSpec> tensors;
    std::function<void()> pack;  // none: the tensors are only checked
  };
  void read(const Part& part) const;

  kernels::Packing packing_;
  const Checkpoint& checkpoint_;
  bool keeps_ = true;
  std::vector<Part> parts_;
};

}  // namespace mimi
