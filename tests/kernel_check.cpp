// kernel_check [--time] [--isa NAME] [KERNEL]...: every kernel on every instruction set that runs
// here, and on AMX emulated, on many calls: against the reference in double precision, and for the
// same bits on all; with --time, the time of the same calls. Exit code 1 where a call is wrong, or
// none was made.
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "tests/emulated_amx.h"
#include "tests/kernel_cases.h"

namespace mimi::test {
namespace {

using kernels::KernelTable;

struct Options {
  bool time = false;
  std::string isa;
  std::vector<std::string> kernels;  // empty: all
};

// What runs, for the handler of the signal that a guard page raises.
char current[256];

void report_access(int signal) {
  // Only what a signal handler may call.
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, "access outside the inputs: ", 27);
  written = write(STDERR_FILENO, current, std::strlen(current));
  written = write(STDERR_FILENO, "\n", 1);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

std::string first_difference(const std::vector<float>& found, const std::vector<float>& expected) {
  const auto same = [](float a, float b) {
    return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
  };
  const auto place = std::mismatch(found.begin(), found.end(), expected.begin(), same);
  if (place.first == found.end()) return {};
  char text[128];
  std::snprintf(text, sizeof text, "value %td is %.9g, but %.9g on the portable instruction set",
                place.first - found.begin(), *place.first, *place.second);
  return text;
}

void run(KernelCase& c, const KernelTable& table) {
  std::snprintf(current, sizeof current, "%s: %s", table.name, c.name().c_str());
  c.prepare(table);
  c.call(table);
}

// Of the best of several runs, each long enough for the clock.
double seconds_of_call(KernelCase& c, const KernelTable& table) {
  constexpr double kRunSeconds = 2e-4;
  const auto time = [&](int repeats) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats; ++i) c.call(table);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const int repeats = std::clamp(static_cast<int>(kRunSeconds / time(1)), 1, 10000);
  double best = time(repeats);
  for (int i = 0; i < 4; ++i) best = std::min(best, time(repeats));
  return best / repeats;
}

struct Counts {
  int calls = 0;
  int wrong = 0;
};

// One case on all tables; the last, the portable one, comes first.
void check(KernelCase& c, const Options& options, Counts& counts) {
  const auto& tables = checked_tables();
  std::vector<float> expected;
  for (auto table = tables.rbegin(); table != tables.rend(); ++table) {
    const bool wanted = options.isa.empty() || options.isa == (*table)->name;
    if (!wanted && table != tables.rbegin()) continue;
    run(c, **table);
    std::string fault = c.fault();
    if (table == tables.rbegin()) expected = c.output();
    if (!wanted) continue;
    if (fault.empty()) fault = first_difference(c.output(), expected);
    ++counts.calls;
    if (!fault.empty()) {
      ++counts.wrong;
      std::printf("%s: %s\n", current, fault.c_str());
    }
    if (!options.time) continue;
    const double seconds = seconds_of_call(c, **table);
    std::printf("%10.3f us %8.2f GFLOP/s  %s\n", seconds * 1e6, c.flop() / seconds / 1e9, current);
  }
}

int check_all(const Options& options) {
  Counts all;
  for (const CheckedKernel& kernel : checked_kernels()) {
    const auto& names = options.kernels;
    if (!names.empty() && std::find(names.begin(), names.end(), kernel.name) == names.end()) {
      continue;
    }
    KernelCases cases;
    kernel.add_cases(cases);
    Counts counts;
    for (const auto& c : cases) check(*c, options, counts);
    std::printf("%s: %d calls, %d wrong\n", kernel.name, counts.calls, counts.wrong);
    all.calls += counts.calls;
    all.wrong += counts.wrong;
  }
  if (all.calls == 0) std::fprintf(stderr, "kernel_check: nothing of that name was checked\n");
  return all.calls > 0 && all.wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace mimi::test

int main(int argc, char** argv) {
  mimi::test::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--time") {
      options.time = true;
    } else if (argument == "--isa" && i + 1 < argc) {
      options.isa = argv[++i];
    } else if (!argument.starts_with('-')) {
      options.kernels.emplace_back(argument);
    } else {
      std::fprintf(stderr, "usage: kernel_check [--time] [--isa NAME] [KERNEL]...\n");
      return 2;
    }
  }
  std::signal(SIGSEGV, mimi::test::report_access);
  std::signal(SIGBUS, mimi::test::report_access);
  return mimi::test::check_all(options);
}
