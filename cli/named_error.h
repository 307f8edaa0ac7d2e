// Errors of the library, which knows no file names, given the name of the file that they are about.
#pragma once

#include <string>

#include "core/error.h"

namespace mimi::cli {

// Its text begins with the file's name.
class NamedError : public Error {
 public:
  NamedError(const std::string& name, const std::string& cause) : Error(name + ": " + cause) {}
};

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
