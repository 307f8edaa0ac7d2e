// The command line: arguments are the input's lines.
#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include "cli/options.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::istringstream lines(std::string(reinterpret_cast<const char*>(data), size));
  std::vector<std::string> words = {"mimi"};
  for (std::string line; std::getline(lines, line);) words.push_back(line.c_str());
  std::vector<const char*> arguments;
  for (const std::string& word : words) arguments.push_back(word.c_str());
  arguments.push_back(nullptr);
  try {
    mimi::cli::parse_command_line(static_cast<int>(words.size()), arguments.data());
  } catch (const mimi::cli::UsageError&) {
    return 0;
  }
  return 0;
}
