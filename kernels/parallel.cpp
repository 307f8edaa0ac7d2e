#include "kernels/parallel.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
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
      for (int task = share.next++; task < share.end; task = share.next++) call(task, worker);
    }
  }
  // What a body threw first; once nobody is inside.
  const std::exception_ptr& error() const { return error_; }
  bool wants_workers() const {
    return joined < threads() &&
           std::any_of(shares_.begin(), shares_.end(),
                       [](const Share& share) { return share.next.load() < share.end; });
  }

  int joined = 1;               // threads that ever took part, the caller first; under Pool::mutex_
  std::atomic<int> working{0};  // workers inside

 private:
  void call(int task, int worker) {
    try {
      body_(task, worker);
    } catch (...) {
      if (!failed_.exchange(true)) error_ = std::current_exception();
    }
  }

  struct alignas(64) Share {
    std::atomic<int> next{0};  // first task that nobody took
    int end = 0;
  };
  TaskRef body_;
  std::vector<Share> shares_;
  std::atomic<bool> failed_{false};
  std::exception_ptr error_;
};

// Threads that help whoever calls parallel_for. A caller waits only for tasks that a worker has
// begun, never for a worker to arrive: on a busy machine it does the work itself.
class Pool {
 public:
  // Never destroyed: threads may wait in it until the process ends. A child of fork(), which has
  // none of them and perhaps a locked mutex, gets a new one.
  static Pool& instance() {
    static Pool* pool = nullptr;
    static const int registered = [] {
      pool = new Pool;
      return pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
    }();
    static_cast<void>(registered);
    return *pool;
  }

  void run(Job& job) {
    {
      const std::unique_lock lock = lock_soon();
      start_workers(job.threads() - 1);
      jobs_.push_back(&job);
      ++posted_;
    }
    for (int i = std::min(sleeping_.load(), job.threads() - 1); i > 0; --i) wake_.notify_one();
    {
      const ScopedFloatMode mode;
      job.work(0);
    }
    {
      const std::unique_lock lock = lock_soon();
      std::erase(jobs_, &job);
    }
    const auto idle = [&job] { return job.working == 0; };
    if (spin_until(idle)) return;
    std::unique_lock lock(mutex_);
    finished_.wait(lock, idle);
  }

 private:
  // Whoever has the lock gives it back in some nanoseconds: sleeping for it would take a thousand
  // times as long.
  std::unique_lock<std::mutex> lock_soon() {
    constexpr int kSpins = 256;
    for (int i = 0; i < kSpins; ++i) {
      if (mutex_.try_lock()) return std::unique_lock(mutex_, std::adopt_lock);
      relax();
    }
    return std::unique_lock(mutex_);
  }

  // Where the system has no more threads, those that there are and the caller do the work.
  void start_workers(int count) {
    try {
      for (; workers_ < count; ++workers_) std::thread([this] { serve(); }).detach();
    } catch (const std::system_error&) {
    }
  }

  [[noreturn]] void serve() {
    const ScopedFloatMode mode;
    std::uint64_t seen = 0;
    while (true) {
      spin_until([&] { return posted_ != seen; });
      int worker = 0;
      Job* job = join_job(seen, worker);
      job->work(worker);
      const std::unique_lock lock = lock_soon();  // so that the caller cannot miss the last one
      if (--job->working == 0) finished_.notify_all();
    }
  }

  // Waits for a job that wants a worker.
  Job* join_job(std::uint64_t& seen, int& worker) {
    std::unique_lock lock = lock_soon();
    while (true) {
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
  }

  std::mutex mutex_;
  std::condition_variable wake_;      // posted_ has grown
  std::condition_variable finished_;  // some job's working has fallen to 0
  int workers_ = 0;
  std::vector<Job*> jobs_;
  std::atomic<std::uint64_t> posted_{0};
  std::atomic<int> sleeping_{0};
};

}  // namespace

void parallel_for(int threads, int tasks, TaskRef body) {
  const int used = std::min(threads, tasks);
  if (used > 1) {
    Job job(body, used, tasks);
    Pool::instance().run(job);
    if (job.error()) std::rethrow_exception(job.error());
    return;
  }
  const ScopedFloatMode mode;
  std::exception_ptr error;
  for (int task = 0; task < tasks; ++task) {
    try {
      body(task, 0);
    } catch (...) {
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

int worthwhile_threads(int threads, double flop, double bytes) {
  // Some 10 microseconds of one core's work: what handing it over costs at worst.
  constexpr double kFlopAThread = 1e6, kBytesAThread = 2e5;
  const double paying = std::max(flop / kFlopAThread, bytes / kBytesAThread);
  return static_cast<int>(std::clamp(paying, 1.0, static_cast<double>(threads)));
}

}  // namespace mimi::kernels
