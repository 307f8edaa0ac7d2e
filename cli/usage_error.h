#pragma once

#include <stdexcept>

namespace mimi::cli {

// The command line itself is wrong: nothing was attempted, and the exit code is 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace mimi::cli
