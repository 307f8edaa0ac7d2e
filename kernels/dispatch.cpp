#include "kernels/dispatch.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>

#include "kernels/cpu.h"
#include "kernels/kernels.h"

namespace mimi::kernels {

extern const KernelTable kPortableTable;
#if defined(__x86_64__)
extern const KernelTable kAvx2Table;
extern const Int8Kernels kAvxVnniKernels;
extern const KernelTable kAvx512Table;
extern const Int8Kernels kVnniKernels;
extern const Bf16Kernels kPairKernels;
extern const Int8Kernels kAmxKernels;
#elif defined(__aarch64__)
extern const KernelTable kNeonTable;
extern const Int8Kernels kDotprodKernels;
extern const Int8Kernels kI8mmKernels;
#endif

namespace {

struct Candidate {
  const KernelTable* table;
  bool runs_here;
};

KernelTable with_int8(const char* name, const KernelTable& base, const Int8Kernels& int8) {
  KernelTable table = base;
  table.name = name;
  table.int8 = int8;
  return table;
}

#if defined(__x86_64__)
const KernelTable& avx_vnni_table() {
  static const KernelTable table = with_int8("avxvnni", kAvx2Table, kAvxVnniKernels);
  return table;
}

const KernelTable& avx512_vnni_table() {
  static const KernelTable table = with_int8("avx512vnni", kAvx512Table, kVnniKernels);
  return table;
}

const KernelTable& avx512_bf16_table() {
  static const KernelTable table = [] {
    KernelTable t = avx512_vnni_table();
    t.name = "avx512bf16";
    t.bf16 = kPairKernels;
    return t;
  }();
  return table;
}

double multiply_adds_per_second(double (*peak)(std::int64_t, float*)) {
  constexpr int kTries = 5;
  constexpr std::int64_t kIterations = 2000;
  double best = 0;
  float sink[kLanes];
  for (int i = 0; i < kTries; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const double operations = peak(kIterations, sink);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    best = std::max(best, operations / spent.count());
  }
  return best;
}

// Some machines run the instruction for pairs at half the speed of two f32 ones, others at twice.
bool pairs_are_faster() {
  static const bool faster =
      cpu_features().avx512_bf16 && multiply_adds_per_second(kPairKernels.multiply_add_peak) >
                                        multiply_adds_per_second(kAvx512Table.multiply_add_peak);
  return faster;
}

const KernelTable& avx512_amx_table() {
  static const KernelTable table = with_int8(
      "avx512amx", pairs_are_faster() ? avx512_bf16_table() : avx512_vnni_table(), kAmxKernels);
  return table;
}

// Best first.
std::vector<Candidate> candidates() {
  const CpuFeatures& cpu = cpu_features();
  Candidate second = {&avx512_bf16_table(), cpu.avx512_bf16};
  Candidate third = {&avx512_vnni_table(), cpu.avx512_vnni};
  if (!pairs_are_faster()) std::swap(second, third);
  return {{&avx512_amx_table(), cpu.amx_int8},
          second,
          third,
          {&kAvx512Table, cpu.avx512},
          {&avx_vnni_table(), cpu.avx_vnni},
          {&kAvx2Table, cpu.avx2},
          {&kPortableTable, true}};
}
#elif defined(__aarch64__)
const KernelTable& neon_dotprod_table() {
  static const KernelTable table = with_int8("neondotprod", kNeonTable, kDotprodKernels);
  return table;
}

const KernelTable& neon_i8mm_table() {
  static const KernelTable table = with_int8("neoni8mm", kNeonTable, kI8mmKernels);
  return table;
}

// Best first.
std::vector<Candidate> candidates() {
  const CpuFeatures& cpu = cpu_features();
  return {{&neon_i8mm_table(), cpu.i8mm},
          {&neon_dotprod_table(), cpu.dotprod},
          {&kNeonTable, true},
          {&kPortableTable, true}};
}
#endif

std::string names(bool only_available) {
  std::string list;
  for (const Candidate& c : candidates()) {
    if (only_available && !c.runs_here) continue;
    list += (list.empty() ? "" : ", ") + std::string(c.table->name);
  }
  return list;
}

}  // namespace

const std::vector<const KernelTable*>& available() {
  static const std::vector<const KernelTable*> tables = [] {
    std::vector<const KernelTable*> runnable;
    for (const Candidate& c : candidates()) {
      if (c.runs_here) runnable.push_back(c.table);
    }
    return runnable;
  }();
  return tables;
}

const KernelTable& select(std::string_view name) {
  if (name.empty()) {
    const char* forced = std::getenv("MIMI_ISA");
    if (forced == nullptr || *forced == '\0') return *available().front();
    name = forced;
  }
  for (const Candidate& c : candidates()) {
    if (name != c.table->name) continue;
    if (c.runs_here) return *c.table;
    throw std::invalid_argument("this machine cannot run the instruction set '" +
                                std::string(name) + "'; it can run " + names(true));
  }
  throw std::invalid_argument("unknown instruction set '" + std::string(name) +
                              "'; this build has " + names(false));
}

}  // namespace mimi::kernels
