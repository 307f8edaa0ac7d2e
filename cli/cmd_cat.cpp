// mimi cat: several token files as one.
#include <filesystem>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/named_error.h"
#include "cli/token_input.h"
#include "cli/token_output.h"
#include "core/token_edit.h"

namespace mimi::cli {
namespace {

// Only headers are read here, so that nothing is written where a later file does not fit.
TokenHeader header_of_all(const std::vector<std::string>& inputs) {
  TokenHeader all = TokenInput(inputs.front()).header();
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    const TokenInput input(inputs[i]);
    all = naming(input.name(), [&] { return joined_header(all, input.header()); });
  }
  return all;
}

}  // namespace

int run_cat(const CatOptions& options) {
  for (const std::string& input : options.inputs) {
    std::error_code ignored;
    const auto type = std::filesystem::status(input, ignored).type();
    if (input == "-" || type == std::filesystem::file_type::fifo) {
      throw UsageError((input == "-" ? "standard input" : input) +
                       ": cannot be joined: files are read twice");
    }
    plan_jobs({input}, {.path = options.output.path, .force = options.output.force}, "");
  }
  const TokenHeader header = header_of_all(options.inputs);
  OutputFile file(options.output.path, options.output.force);
  TokenWriter writer(token_sink(file), header);
  for (const std::string& name : options.inputs) {
    TokenInput input(name);
    naming(input.name(), [&] {
      joined_header(header, input.header());  // the file may be another by now
      append_tokens(input.tokens(), writer);
    });
  }
  writer.finish();
  file.commit();
  return kExitDone;
}

}  // namespace mimi::cli
