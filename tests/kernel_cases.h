// The calls that kernel_check makes of each kernel: what it is given, and what must come of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace mimi::test {

// One call of one kernel. Its inputs lie in guarded memory, its outputs between guard bands.
class KernelCase {
 public:
  KernelCase() = default;
  virtual ~KernelCase() = default;
  KernelCase(const KernelCase&) = delete;
  KernelCase& operator=(const KernelCase&) = delete;

  virtual std::string name() const = 0;
  virtual double flop() const = 0;
  // Poisons the outputs. `table` is whose kernel comes next.
  virtual void prepare(const kernels::KernelTable& table) = 0;
  // The call alone; may be repeated.
  virtual void call(const kernels::KernelTable& table) = 0;
  // What the last call wrote that it should not have, or by the reference in double precision;
  // empty: nothing.
  virtual std::string fault() const = 0;
  // All that the last call wrote: the same bits on every instruction set.
  virtual std::vector<float> output() const = 0;
};

using KernelCases = std::vector<std::unique_ptr<KernelCase>>;

// A kernel of the table, and its cases. To test a new kernel, write its cases and add a line to
// checked_kernels.
struct CheckedKernel {
  const char* name;
  void (*add_cases)(KernelCases& cases);
};
const std::vector<CheckedKernel>& checked_kernels();

}  // namespace mimi::test
