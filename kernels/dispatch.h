#pragma once

#include <string_view>
#include <vector>

namespace mimi::kernels {

struct KernelTable;

// The tables that this build has and this CPU and OS can run, best first.
const std::vector<const KernelTable*>& available();

// The table called `name`; empty: the one that MIMI_ISA names, else the best. Throws
// std::invalid_argument when the name is unknown or the machine cannot run it: never a default.
const KernelTable& select(std::string_view name = {});

}  // namespace mimi::kernels
