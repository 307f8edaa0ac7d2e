// mimi cut: a part of a token file.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/named_error.h"
#include "cli/token_input.h"
#include "cli/token_output.h"
#include "core/token_edit.h"

namespace mimi::cli {

std::uint64_t sample_at(double seconds, int rate_hz) {
  return static_cast<std::uint64_t>(std::llround(seconds * rate_hz));
}

int run_cut(const CutOptions& options) {
  const auto jobs = plan_jobs(options.inputs, options.output, ".cut.mimi");
  return run_each(jobs, [&](const Job& job) {
    TokenInput input(job.input);
    const TokenHeader& header = input.header();
    OutputFile file(job.output, options.output.force);
    TokenCut cut;
    cut.from_sample = sample_at(options.range.from_s.value_or(0), header.sample_rate_hz);
    if (options.range.to_s) cut.to_sample = sample_at(*options.range.to_s, header.sample_rate_hz);
    cut.levels = options.levels;
    cut.lead_in_frames = static_cast<std::uint32_t>(
        std::min(std::ceil(options.lead_in_s * header.sample_rate_hz / header.frame_samples),
                 double{std::numeric_limits<std::uint32_t>::max()}));
    naming(input.name(), [&] { cut_tokens(input.tokens(), cut, token_sink(file)); });
    file.commit();
  });
}

}  // namespace mimi::cli
