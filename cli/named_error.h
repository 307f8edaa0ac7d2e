// Errors of the library, which knows no file names, given the name of the file that they are about.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>

#include "core/error.h"

namespace mimi::cli {

// Its text begins with the file's name.
class NamedError : public Error {
 public:
  NamedError(const std::string& name, const std::string& cause)
      : Error(name + ": " + cause), name_(name) {}
  const std::string& name() const { return name_; }

 private:
  std::string name_;
};

// The machine has too few of what a file needs: no fault of the file's, and over some time later.
class ShortageError : public NamedError {
 public:
  using NamedError::NamedError;
};

inline bool is_shortage(int error_number) {
  return error_number == EMFILE || error_number == ENFILE || error_number == ENOMEM;
}

// The system's own words for what failed, after `what`.
[[noreturn]] inline void throw_system_error(const std::string& name, int error_number,
                                            const std::string& what = "") {
  const std::string cause = what + std::strerror(error_number);
  if (is_shortage(error_number)) throw ShortageError(name, cause);
  throw NamedError(name, cause);
}

// Calls `work` and puts `name` before the errors that name no file.
template <typename Work>
auto naming(const std::string& name, Work work) {
  try {
    return work();
  } catch (const NamedError&) {
    throw;
  } catch (const Error& error) {
    throw NamedError(name, error.what());
  }
}

}  // namespace mimi::cli
