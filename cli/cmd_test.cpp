// mimi test: whether token files are whole.
#include <cstdio>
#include <string>

#include "cli/byte_reader.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/named_error.h"
#include "cli/printable.h"
#include "cli/token_input.h"

namespace mimi::cli {
namespace {

std::string lost_text(const TokenTotals& totals) {
  if (totals.lost_frames == 0) return "";
  return ", " + std::to_string(totals.lost_frames) + " of them lost";
}

}  // namespace

int run_test(const TestOptions& options, const CommonOptions& common) {
  return run_each(reading_jobs(options.inputs), [&](const Job& job) {
    ByteReader bytes(job.input);
    const TokenFileInfo info =
        naming(bytes.name(), [&] { return read_token_info(token_source(bytes)); });
    if (common.quiet) return;
    std::printf("%s: ok, %.2f s, %u frames%s\n", printable(bytes.name()).c_str(),
                static_cast<double>(info.totals.samples) / info.header.sample_rate_hz,
                info.totals.frames, lost_text(info.totals).c_str());
  });
}

}  // namespace mimi::cli
