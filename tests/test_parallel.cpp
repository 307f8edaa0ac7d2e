#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/parallel.h"

// The thread sanitizer ends a child that starts threads, and so does the emulator of aarch64.
#ifdef __aarch64__
#define MIMI_NO_THREADS_IN_A_CHILD
#endif
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define MIMI_NO_THREADS_IN_A_CHILD
#endif
#endif

namespace mimi::kernels {
namespace {

#ifdef MIMI_NO_THREADS_IN_A_CHILD
constexpr int kThreadsOfAChild = 1;
#else
constexpr int kThreadsOfAChild = 3;
#endif

// Whether every task was called once, by workers with numbers below `threads`.
bool calls_each_once(int threads, int tasks) {
  std::vector<std::atomic<int>> calls(static_cast<std::size_t>(tasks));
  std::atomic<bool> right{true};
  parallel_for(threads, tasks, [&](int task, int worker) {
    ++calls[static_cast<std::size_t>(task)];
    if (worker < 0 || worker >= threads) right = false;
  });
  for (const auto& count : calls) right = right && count == 1;
  return right;
}

TEST_CASE("every task is called once") {
  for (const int threads : {1, 2, 5}) {
    for (const int tasks : {0, 1, 4, 1000}) {
      CAPTURE(threads);
      CAPTURE(tasks);
      CHECK(calls_each_once(threads, tasks));
    }
  }
}

TEST_CASE("what a body throws reaches the caller, on whichever thread it was, and others go on") {
  for (const int threads : {1, 2, 5}) {
    CAPTURE(threads);
    for (int bad = 0; bad < 40; ++bad) {
      std::string told;
      std::atomic<int> calls{0};
      try {
        parallel_for(threads, 40, [&](int task, int) {
          ++calls;
          if (task == bad) throw std::runtime_error("task " + std::to_string(task));
        });
      } catch (const std::runtime_error& error) {
        told = error.what();
      }
      CHECK(told == "task " + std::to_string(bad));
      CHECK(calls == 40);
    }
    CHECK(calls_each_once(threads, 100));
  }
}

TEST_CASE("a child process works, and ends, without the parent's threads") {
  REQUIRE(calls_each_once(3, 100));
  std::fflush(nullptr);  // or what is buffered comes twice
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) std::exit(calls_each_once(kThreadsOfAChild, 100) ? 0 : 1);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace mimi::kernels
