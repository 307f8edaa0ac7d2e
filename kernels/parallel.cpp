#include "kernels/parallel.h"

#include <algorithm>

#include "kernels/float_mode.h"

#ifdef MIMI_STD_THREADS
#include <atomic>
#include <thread>
#include <vector>
#else
#include <omp.h>
#endif

namespace mimi::kernels {

#ifdef MIMI_STD_THREADS

// Threads that a sanitizer can follow, started anew for each call.
void parallel_for(int threads, int tasks, TaskRef body) {
  std::atomic<int> next{0};
  const auto work = [&](int worker) {
    const ScopedFloatMode mode;
    for (int task = next++; task < tasks; task = next++) body(task, worker);
  };
  std::vector<std::thread> helpers;
  for (int worker = 1; worker < std::min(threads, tasks); ++worker) {
    helpers.emplace_back(work, worker);
  }
  work(0);
  for (std::thread& helper : helpers) helper.join();
}

#else

void parallel_for(int threads, int tasks, TaskRef body) {
  const int used = std::min(threads, tasks);
  if (used <= 1) {
    const ScopedFloatMode mode;
    for (int task = 0; task < tasks; ++task) body(task, 0);
    return;
  }
#pragma omp parallel num_threads(used)
  {
    const ScopedFloatMode mode;
#pragma omp for schedule(dynamic)
    for (int task = 0; task < tasks; ++task) body(task, omp_get_thread_num());
  }
}

#endif

}  // namespace mimi::kernels
