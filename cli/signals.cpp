#include "cli/signals.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <climits>
#include <csignal>
#include <exception>
#include <new>
#include <string_view>
#include <vector>

#include "cli/commands.h"
#include "cli/printable.h"
#include "core/error.h"
#include "core/mapped_file.h"

namespace mimi::cli {
namespace {

constexpr std::array kEndingSignals = {SIGINT,  SIGTERM, SIGHUP,  SIGPIPE,  SIGQUIT,
                                       SIGXCPU, SIGUSR1, SIGUSR2, SIGALRM,  SIGVTALRM,
                                       SIGPROF, SIGIO,   SIGPWR,  SIGSTKFLT};
// What a library's mistake, a failed assertion, or a call that a sandbox forbids ends in.
constexpr std::array kCrashes = {SIGSEGV, SIGABRT, SIGFPE, SIGILL, SIGSYS, SIGTRAP};

pthread_t g_main_thread;
// Where an unfinished file's path is, so that a handler need not touch the heap.
struct UnfinishedPath {
  char text[PATH_MAX];
  volatile std::sig_atomic_t is_set;
};
std::array<UnfinishedPath, kMostUnfinishedFiles> g_unfinished;

void remove_unfinished() {
  for (const UnfinishedPath& path : g_unfinished) {
    if (path.is_set != 0) unlink(path.text);
  }
}

extern "C" void end_by_signal(int signal) {
  const int saved_errno = errno;
  // Only the main thread creates and keeps files: handled there, a signal cannot fall between the
  // creation of a file and its removal.
  if (pthread_equal(pthread_self(), g_main_thread) == 0) {
    pthread_kill(g_main_thread, signal);
    errno = saved_errno;
    return;
  }
  remove_unfinished();
  std::signal(signal, SIG_DFL);
  pthread_kill(g_main_thread, signal);  // takes effect when this handler returns
}

void write_error(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = printable_prefix(text);
    const std::string_view shown = size == 0 ? "?" : text.substr(0, size);
    if (::write(STDERR_FILENO, shown.data(), shown.size()) < 0) return;  // nothing else can be done
    text.remove_prefix(shown.size());
  }
}

// What is printable has no line's end.
void end_line() {
  if (::write(STDERR_FILENO, "\n", 1) < 0) return;
}

// On whichever thread it happened.
extern "C" void end_by_crash(int signal) {
  remove_unfinished();
  std::signal(signal, SIG_DFL);
  pthread_kill(pthread_self(), signal);  // takes effect when this handler returns
}

// On whichever thread read beyond the end. There is nothing to return to.
extern "C" void end_by_bus_error(int signal, siginfo_t* info, void*) {
  const bool was_sent = info->si_code <= 0;  // and has no address
  const char* const file = was_sent ? nullptr : mapped_file_at(info->si_addr);
  if (file == nullptr) {
    end_by_crash(signal);
    return;
  }
  remove_unfinished();
  write_error("mimi: ");
  write_error(file);
  write_error(": was cut short while it was read, or cannot be read");
  end_line();
  _exit(kExitFailed);
}

[[noreturn]] void end_by_exception() {
  remove_unfinished();
  write_error("mimi: ");
  try {
    if (const std::exception_ptr failure = std::current_exception())
      std::rethrow_exception(failure);
    write_error("ended without an exception");
  } catch (const std::bad_alloc&) {
    write_error("not enough memory");
  } catch (const std::exception& error) {
    write_error(error.what());
  } catch (...) {
    write_error("unknown exception");
  }
  end_line();
  _exit(kExitFailed);
}

bool is_handled_by(int signal, void (*handler)(int)) {
  struct sigaction action {};
  sigaction(signal, nullptr, &action);
  return action.sa_handler == handler;
}

// Though whoever started the program ignored them: SIGPIPE must end it, as a pipeline expects.
bool is_ended_by_all(int signal) {
  return signal == SIGTERM || signal == SIGPIPE || signal == SIGXCPU;
}

}  // namespace

void install_signal_handlers() {
  g_main_thread = pthread_self();
  std::vector<int> ending(kEndingSignals.begin(), kEndingSignals.end());
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) ending.push_back(signal);
  struct sigaction action {};
  action.sa_handler = end_by_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : ending) sigaddset(&action.sa_mask, signal);
  for (const int signal : ending) {
    // Ignored on purpose, by nohup or a shell's background jobs, or a profiler's own.
    const bool inherited = !is_ended_by_all(signal) && !is_handled_by(signal, SIG_DFL);
    if (!inherited) sigaction(signal, &action, nullptr);
  }
  action.sa_handler = end_by_crash;
  for (const int signal : kCrashes) {
    // A sanitizer has its own.
    if (is_handled_by(signal, SIG_DFL)) sigaction(signal, &action, nullptr);
  }
  struct sigaction bus_action {};
  bus_action.sa_sigaction = end_by_bus_error;
  bus_action.sa_flags = SA_SIGINFO;
  sigemptyset(&bus_action.sa_mask);
  sigaction(SIGBUS, &bus_action, nullptr);
  // A file beyond the size limit is then an error of write(), with a message, like a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
}

void install_terminate_handler() { std::set_terminate(end_by_exception); }

UnfinishedFile::UnfinishedFile(const std::string& path, OnSignal on_signal)
    : path_(path), on_signal_(on_signal) {
  if (on_signal_ == OnSignal::kLeave) return;
  place_ = static_cast<std::size_t>(std::ranges::find(g_unfinished, 0, &UnfinishedPath::is_set) -
                                    g_unfinished.begin());
  assert(place_ < g_unfinished.size());
  UnfinishedPath& unfinished = g_unfinished[place_];
  if (path.size() >= sizeof unfinished.text) throw Error(path + ": name too long");
  std::copy_n(path.c_str(), path.size() + 1, unfinished.text);
  unfinished.is_set = 1;
}

UnfinishedFile::~UnfinishedFile() {
  if (!kept_) unlink(path_.c_str());
  if (on_signal_ == OnSignal::kRemove) g_unfinished[place_].is_set = 0;
}

void UnfinishedFile::keep() { kept_ = true; }

}  // namespace mimi::cli
