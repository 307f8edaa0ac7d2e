#include "cli/jobs.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>
#include <system_error>

#include "cli/printable.h"
#include "core/error.h"

namespace mimi::cli {
namespace {

namespace fs = std::filesystem;

std::string output_of(const std::string& input, const OutputOptions& output,
                      const std::string& suffix) {
  if (!output.path.empty()) return output.path;
  if (input == "-") {
    if (output.directory.empty()) return "-";
    throw UsageError("standard input has no name for --out-dir: give -o FILE");
  }
  fs::path path = input;
  path.replace_extension(suffix);
  return output.directory.empty() ? path : fs::path(output.directory) / path.filename();
}

bool is_regular(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

// The same for all spellings of a path.
std::string place_of(const std::string& path) {
  std::error_code error;
  const fs::path place = fs::weakly_canonical(fs::absolute(path, error), error);
  return error ? path : place.string();
}

void make_directory(const std::string& directory) {
  if (directory.empty()) return;
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) throw Error(directory + ": cannot be made: " + error.message());
}

}  // namespace

std::string input_name(const std::string& input) { return input == "-" ? "standard input" : input; }

std::string output_name(const std::string& output) {
  return output == "-" ? "standard output" : output;
}

void refuse_second_stdin(const std::vector<std::string>& inputs) {
  if (std::count(inputs.begin(), inputs.end(), "-") > 1) {
    throw UsageError("standard input can be read once only");
  }
}

void refuse_terminal(const std::string& output, bool force) {
  if (output == "-" && !force && isatty(STDOUT_FILENO) == 1) {
    throw UsageError("the output is not for a terminal: give -o FILE");
  }
}

bool is_same_file(const std::string& a, const std::string& b) {
  std::error_code error;
  return a != "-" && is_regular(a) && fs::equivalent(a, b, error) && !error;
}

bool is_same_place(const std::string& a, const std::string& b) {
  if (a == "-" || b == "-") return a == b;
  return place_of(a) == place_of(b);
}

std::vector<Job> plan_jobs(const std::vector<std::string>& inputs, const OutputOptions& output,
                           const std::string& suffix) {
  if (!output.path.empty() && !output.directory.empty()) {
    throw UsageError("-o and --out-dir exclude each other");
  }
  if (!output.path.empty() && inputs.size() > 1) {
    throw UsageError("-o is for one input, " + std::to_string(inputs.size()) +
                     " are given: use --out-dir");
  }
  refuse_second_stdin(inputs);
  std::vector<Job> jobs;
  std::set<std::string> read, written;
  for (const std::string& input : inputs) {
    if (input != "-") read.insert(place_of(input));
  }
  for (const std::string& input : inputs) {
    const Job job = {.input = input, .output = output_of(input, output, suffix)};
    refuse_terminal(job.output, output.force);
    jobs.push_back(job);
    if (job.output == "-") continue;
    if (is_same_file(input, job.output)) {
      throw UsageError(input + ": would be overwritten by its own output");
    }
    const std::string place = place_of(job.output);
    if (is_regular(job.output) && read.contains(place)) {
      throw UsageError(job.output + ": would be overwritten by the output of " + input);
    }
    if (!written.insert(place).second) {
      throw UsageError(job.output + ": would be written for more than one input");
    }
  }
  make_directory(output.directory);
  return jobs;
}

std::vector<Job> reading_jobs(const std::vector<std::string>& inputs) {
  refuse_second_stdin(inputs);
  std::vector<Job> jobs;
  for (const std::string& input : inputs) jobs.push_back({.input = input, .output = "-"});
  return jobs;
}

void refuse_outputs(const std::vector<std::string>& inputs,
                    const std::vector<std::string>& suffixes) {
  for (const std::string& input : inputs) {
    const std::string suffix = fs::path(input).extension();
    if (std::find(suffixes.begin(), suffixes.end(), suffix) != suffixes.end()) {
      throw UsageError(input + ": is not an input by its suffix; the output goes after -o");
    }
  }
}

int run_each(const std::vector<Job>& jobs, const std::function<void(const Job&)>& run) {
  int exit_code = kExitDone;
  for (const Job& job : jobs) {
    try {
      run(job);
    } catch (const UsageError&) {
      throw;
    } catch (const Error& error) {
      report(error.what());
      exit_code = kExitFailed;
    } catch (const std::bad_alloc&) {
      report(job.input + ": not enough memory");
      exit_code = kExitFailed;
    } catch (const std::exception& error) {
      report(job.input + ": " + error.what());
      exit_code = kExitFailed;
    }
  }
  return exit_code;
}

void report_clipped(const std::string& output, std::int64_t samples, const CommonOptions& common) {
  if (samples == 0 || common.quiet) return;
  report(output_name(output) + ": " + std::to_string(samples) +
         (samples == 1 ? " sample" : " samples") + " beyond full scale clipped");
}

void report(const std::string& text) {
  std::fprintf(stderr, "mimi: %s\n", printable(text).c_str());
}

}  // namespace mimi::cli
