#pragma once

#include <system_error>
#include <thread>
#include <utility>

#include "cli/named_error.h"

namespace mimi::cli {

// Throws ShortageError where the machine makes no more threads.
template <typename Work>
std::thread start_thread(Work work) {
  try {
    return std::thread(std::move(work));
  } catch (const std::system_error& error) {
    throw ShortageError("a thread", "cannot be made: " + error.code().message());
  }
}

}  // namespace mimi::cli
