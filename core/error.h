#pragma once

#include <stdexcept>

namespace mimi {

// What the library throws when a file, an argument or the machine is not as it must be. The text is
// one line that names the thing, what was found and what was expected; it carries no prefix.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace mimi
