// The one place that starts threads.
#pragma once

namespace mimi::kernels {

// A callable by reference: body(task, worker).
class TaskRef {
 public:
  template <typename Body>
  TaskRef(const Body& body)  // NOLINT(google-explicit-constructor): a view, as std::string_view is
      : body_(&body), call_([](const void* b, int task, int worker) {
          (*static_cast<const Body*>(b))(task, worker);
        }) {}
  void operator()(int task, int worker) const { call_(body_, task, worker); }

 private:
  const void* body_;
  void (*call_)(const void*, int, int);
};

// Calls body(task, worker) once for each task in [0, tasks), on up to `threads` threads at once;
// worker is in [0, threads) and no two calls at one time have the same. Returns when all are done.
// Every thread has the floating-point mode of ScopedFloatMode. Throws what a body threw
// first, once no body runs; the others are still called.
void parallel_for(int threads, int tasks, TaskRef body);

// How many of `threads` are worth waking for so many floating-point operations, on so many bytes
// that are read once.
int worthwhile_threads(int threads, double flop, double bytes = 0);

}  // namespace mimi::kernels
