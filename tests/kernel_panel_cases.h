// The calls of the panels of matrix products in each dtype, and of what makes their rows.
#pragma once

#include "tests/kernel_cases.h"

namespace mimi::test {

void add_f32_panels(KernelCases& cases);
void add_bf16_panels(KernelCases& cases);
void add_int8_panels(KernelCases& cases);
void add_round_rows(KernelCases& cases);
void add_quantize_rows(KernelCases& cases);

}  // namespace mimi::test
