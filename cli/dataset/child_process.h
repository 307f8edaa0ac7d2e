#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace mimi::cli {

// Runs a program, found as a shell finds it, with `input` as its standard input, and calls `take`
// with what it writes. Throws mimi::Error with the last line of its complaint, or with what ended
// it. Nothing of it outlives the call, nor, once it writes, this process.
using TakeOutput = std::function<void(std::span<const std::uint8_t>)>;
void run_program(const std::vector<std::string>& arguments, int input, const TakeOutput& take);

}  // namespace mimi::cli
