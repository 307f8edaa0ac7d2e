#include "kernels/dispatch.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "kernels/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace mimi::kernels {

extern const KernelTable kPortableTable;
#if defined(__x86_64__)
extern const KernelTable kAvx2Table;
extern const Int8Kernels kAvxVnniKernels;
extern const KernelTable kAvx512Table;
extern const Int8Kernels kVnniKernels;
extern const Bf16Kernels kPairKernels;
#elif defined(__aarch64__)
extern const KernelTable kNeonTable;
#endif

namespace {

struct Candidate {
  const KernelTable* table;
  bool runs_here;
};

#if defined(__x86_64__)
const KernelTable& avx_vnni_table() {
  static const KernelTable table = [] {
    KernelTable t = kAvx2Table;
    t.name = "avxvnni";
    t.int8 = kAvxVnniKernels;
    return t;
  }();
  return table;
}

const KernelTable& avx512_vnni_table() {
  static const KernelTable table = [] {
    KernelTable t = kAvx512Table;
    t.name = "avx512vnni";
    t.int8 = kVnniKernels;
    return t;
  }();
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
  static const bool faster = multiply_adds_per_second(kPairKernels.multiply_add_peak) >
                             multiply_adds_per_second(kAvx512Table.multiply_add_peak);
  return faster;
}

// Which __builtin_cpu_supports of clang 14 does not know.
bool has_avx_vnni() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & 1U << 4) != 0;
}
#endif

// Best first. __builtin_cpu_supports also asks the OS whether it saves the registers.
std::vector<Candidate> candidates() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl");
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  const bool bf16 = vnni && __builtin_cpu_supports("avx512bf16");
  Candidate best = {&avx512_bf16_table(), bf16}, second = {&avx512_vnni_table(), vnni};
  if (bf16 && !pairs_are_faster()) std::swap(best, second);
  return {best,
          second,
          {&kAvx512Table, avx512},
          {&avx_vnni_table(), avx2 && has_avx_vnni()},
          {&kAvx2Table, avx2},
          {&kPortableTable, true}};
#elif defined(__aarch64__)
  return {{&kNeonTable, true}, {&kPortableTable, true}};
#else
  return {{&kPortableTable, true}};
#endif
}

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

std::string cpu_name() {
#if defined(__x86_64__)
  std::array<unsigned, 12> words{};
  if (static_cast<unsigned>(__get_cpuid_max(0x80000000U, nullptr)) >= 0x80000004U) {
    for (unsigned i = 0; i < 3; ++i) {
      __get_cpuid(0x80000002U + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                  &words[4 * i + 3]);
    }
    std::array<char, 49> text{};
    std::memcpy(text.data(), words.data(), 48);
    std::string name(text.data());
    name.erase(0, name.find_first_not_of(' '));
    name.erase(name.find_last_not_of(' ') + 1);
    if (!name.empty()) return name;
  }
  return "x86-64";
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "unknown";
#endif
}

}  // namespace mimi::kernels
