// How help looks: usage, what the command does, examples, options.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace mimi::cli {

// The group of the options that say which model runs and how, and that of commands without one.
constexpr const char* kModelGroup = "model";
constexpr const char* kWithoutModel = "without a model";

// The text of --help for `app`: its description is one sentence, its footer holds the examples.
std::string help_text(const CLI::App& app);

}  // namespace mimi::cli
