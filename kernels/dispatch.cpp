#include "kernels/dispatch.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace mimi::kernels {

extern const KernelTable kPortableTable;
#if defined(__x86_64__)
extern const KernelTable kAvx2Table;
extern const KernelTable kAvx512Table;
#elif defined(__aarch64__)
extern const KernelTable kNeonTable;
#endif

namespace {

struct Candidate {
  const KernelTable* table;
  bool runs_here;
};

// Best first. __builtin_cpu_supports also asks the OS whether it saves the registers.
std::vector<Candidate> candidates() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl");
  return {{&kAvx512Table, avx512}, {&kAvx2Table, avx2}, {&kPortableTable, true}};
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
