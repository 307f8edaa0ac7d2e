#include "kernels/parallel.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "kernels/float_mode.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mimi::kernels {
namespace {

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits awake for as long as a sleep and a wake-up of a virtual machine's core may cost, some 100
// microseconds; true if `done` came true. Whoever else wants the core gets it meanwhile.
template <typename Done>
bool spin_until(Done done) {
  constexpr auto kPatience = std::chrono::microseconds(200);
  constexpr auto kUnshared = std::chrono::microseconds(20);
  constexpr int kSpins = 64;
  const auto start = std::chrono::steady_clock::now();
  while (true) {
    for (int i = 0; i < kSpins; ++i) {
      if (done()) return true;
      relax();
    }
    const auto waited = std::chrono::steady_clock::now() - start;
    if (waited > kPatience) return done();
    if (waited > kUnshared) std::this_thread::yield();
  }
}

// One parallel_for, on its caller's stack. Each thread begins with a share of its own, the same
// from one job to the next, so that it finds its cache warm; then it helps with the other shares.
class Job {
 public:
  Job(TaskRef body, int threads, int tasks)
      : body_(body), shares_(static_cast<std::size_t>(threads)) {
    int begin = 0;
    for (Share& share : shares_) {
      share.next = begin;
      const auto done = static_cast<int>(&share - shares_.data()) + 1;
      share.end = begin = static_cast<int>(std::int64_t{tasks} * done / threads);
    }
  }

  int threads() const { return static_cast<int>(shares_.size()); }

  void work(int worker) {
    for (int i = 0; i < threads(); ++i) {
      Share& share = shares_[static_cast<std::size_t>((worker + i) % threads())];
      for (int task = share.next++; task < share.end; task = share.next++) body_(task, worker);
    }
  }
  bool wants_workers() const {
    return joined < threads() &&
           std::any_of(shares_.begin(), shares_.end(),
                       [](const Share& share) { return share.next.load() < share.end; });
  }

  int joined = 1;               // threads that ever took part, the caller first; under Pool::mutex_
  std::atomic<int> working{0};  // workers inside

 private:
  struct alignas(64) Share {
    std::atomic<int> next{0};  // first task that nobody took
    int end = 0;
  };
  TaskRef body_;
  std::vector<Share> shares_;
};

// Threads that help whoever calls parallel_for. A caller waits only for tasks that a worker has
// begun, never for a worker to arrive: on a busy machine it does the work itself.
class Pool {
 public:
  static Pool& instance() {
    static Pool pool;
    return pool;
  }

  void run(Job& job) {
    {
      const std::lock_guard lock(mutex_);
      while (static_cast<int>(workers_.size()) < job.threads() - 1) {
        workers_.emplace_back([this] { serve(); });
      }
      jobs_.push_back(&job);
      ++posted_;
    }
    for (int i = std::min(sleeping_.load(), job.threads() - 1); i > 0; --i) wake_.notify_one();
    {
      const ScopedFloatMode mode;
      job.work(0);
    }
    {
      const std::lock_guard lock(mutex_);
      std::erase(jobs_, &job);
    }
    const auto idle = [&job] { return job.working == 0; };
    if (spin_until(idle)) return;
    std::unique_lock lock(mutex_);
    finished_.wait(lock, idle);
  }

  ~Pool() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      ++posted_;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

 private:
  void serve() {
    const ScopedFloatMode mode;
    std::uint64_t seen = 0;
    while (true) {
      spin_until([&] { return posted_ != seen; });
      int worker = 0;
      Job* job = join_job(seen, worker);
      if (job == nullptr) return;
      job->work(worker);
      const std::lock_guard lock(mutex_);  // so that the caller cannot miss the last one
      if (--job->working == 0) finished_.notify_all();
    }
  }

  // Waits for a job that wants a worker; null when the pool stops.
  Job* join_job(std::uint64_t& seen, int& worker) {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      seen = posted_;
      for (Job* job : jobs_) {
        if (!job->wants_workers()) continue;
        worker = job->joined++;
        ++job->working;
        return job;
      }
      ++sleeping_;
      wake_.wait(lock, [&] { return posted_ != seen; });
      --sleeping_;
    }
    return nullptr;
  }

  std::mutex mutex_;
  std::condition_variable wake_;      // posted_ has grown
  std::condition_variable finished_;  // some job's working has fallen to 0
  std::vector<std::thread> workers_;
  std::vector<Job*> jobs_;
  std::atomic<std::uint64_t> posted_{0};
  std::atomic<int> sleeping_{0};
  bool stopping_ = false;
};

}  // namespace

void parallel_for(int threads, int tasks, TaskRef body) {
  const int used = std::min(threads, tasks);
  if (used > 1) {
    Job job(body, used, tasks);
    Pool::instance().run(job);
    return;
  }
  const ScopedFloatMode mode;
  for (int task = 0; task < tasks; ++task) body(task, 0);
}

int worthwhile_threads(int threads, double flop, double bytes) {
  // Some 10 microseconds of one core's work: what handing it over costs at worst.
  constexpr double kFlopAThread = 1e6, kBytesAThread = 2e5;
  const double paying = std::max(flop / kFlopAThread, bytes / kBytesAThread);
  return static_cast<int>(std::clamp(paying, 1.0, static_cast<double>(threads)));
}

}  // namespace mimi::kernels
