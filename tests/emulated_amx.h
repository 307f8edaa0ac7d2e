// AMX where there is none: its kernels over an emulation of its tile instructions.
#pragma once

#include <vector>

#include "kernels/kernels.h"

namespace mimi::test {

// The tables of this machine, and before them that of the emulation; the last is the portable one.
const std::vector<const kernels::KernelTable*>& checked_tables();

}  // namespace mimi::test
