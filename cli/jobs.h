// Several inputs, each with its output.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace mimi::cli {

struct Job {
  std::string input;   // "-" is standard input
  std::string output;  // "-" is standard output
};

// Where each input goes: as -o says, or the input's name with `suffix` in place of its own, in
// --out-dir or beside it; standard input goes to standard output. Throws UsageError where two
// outputs would be the same, or one its own input.
std::vector<Job> plan_jobs(const std::vector<std::string>& inputs, const OutputOptions& output,
                           const std::string& suffix);

// A job for each input that is only read. Throws UsageError where two are standard input.
std::vector<Job> reading_jobs(const std::vector<std::string>& inputs);

// Throws UsageError where more than one is standard input.
void refuse_second_stdin(const std::vector<std::string>& inputs);
// Throws UsageError where bytes would go to a terminal, unless `force`.
void refuse_terminal(const std::string& output, bool force);

// Throws UsageError for an input whose suffix is that of an output: `encode IN OUT` is easily
// typed.
void refuse_outputs(const std::vector<std::string>& inputs,
                    const std::vector<std::string>& suffixes);

// The names for messages.
std::string input_name(const std::string& input);
std::string output_name(const std::string& output);
// Whether `a` is a regular file, and `b` another name of it.
bool is_same_file(const std::string& a, const std::string& b);
// Whether what is written to one would be lost to what is written to the other.
bool is_same_place(const std::string& a, const std::string& b);

// Runs one after the other; those that throw mimi::Error are reported on standard error, and the
// rest go on. Returns the exit code.
int run_each(const std::vector<Job>& jobs, const std::function<void(const Job&)>& run);

// Says on standard error how many samples of an output were clipped, if any.
void report_clipped(const std::string& output, std::int64_t samples, const CommonOptions& common);

// "mimi: text" on standard error, in one line whatever the text is.
void report(const std::string& text);

}  // namespace mimi::cli
