// What a signal that ends the process leaves behind: nothing.
#pragma once

#include <cstddef>
#include <string>

namespace mimi::cli {

// Every signal that ends a process, but SIGKILL, removes unfinished files and then ends it as it
// would have. SIGBUS in a mapped file, which was cut short while it was read, is
// told in a line and ends the process with exit code 1. To be called once, by the main thread,
// before any other thread is started.
void install_signal_handlers();

// An exception that nobody can catch (of a thread, of noexcept code, before main()) removes
// unfinished files, is told in a line, and ends the process with exit code 1.
void install_terminate_handler();

// What a signal does to an unfinished file: what lies in a folder that its owner clears may stay.
enum class OnSignal { kRemove, kLeave };

// A file that goes away with its owner, or with the process when a signal ends it, unless it is
// kept. Of those to be removed by signals there are at most so many at a time, created and kept by
// the main thread.
constexpr std::size_t kMostUnfinishedFiles = 2;
class UnfinishedFile {
 public:
  UnfinishedFile(const std::string& path, OnSignal on_signal);
  ~UnfinishedFile();
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;

  const std::string& path() const { return path_; }
  void keep();

 private:
  std::string path_;
  OnSignal on_signal_;
  std::size_t place_ = 0;  // among those that a signal removes
  bool kept_ = false;
};

}  // namespace mimi::cli
