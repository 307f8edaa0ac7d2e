// mimi repair: every whole block of damaged token files.
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "cli/byte_reader.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/named_error.h"
#include "cli/printable.h"
#include "cli/token_output.h"
#include "core/token_rescue.h"

namespace mimi::cli {
namespace {

std::string counted(std::uint64_t count, const std::string& thing) {
  return std::to_string(count) + " " + thing + (count == 1 ? "" : "s");
}

void line(const std::string& text) { std::fprintf(stderr, "  %s\n", text.c_str()); }

// What cannot be known of the file as it was.
void print_guesses(const TokenRescue& rescue) {
  if (!rescue.has_header) {
    line("both headers lost: rates are taken for Mimi's, the model is not known");
  }
  if (rescue.lost_segments > 0) {
    line(counted(rescue.lost_segments, "segment's beginning") +
         " lost: its place in its recording is taken for 0");
  }
  if (rescue.lost_ends > 0) {
    line(counted(rescue.lost_ends, "segment's end") +
         " lost: its length is what the header leaves for it, or else that of its frames");
  }
  if (rescue.foreign_records > 0) {
    const std::string blocks =
        rescue.foreign_blocks == 0 ? "" : ", of them " + counted(rescue.foreign_blocks, "block");
    line(counted(rescue.foreign_records, "whole record") +
         " left out, which do not fit those before" + blocks);
  }
}

// Nothing where blocks were left out or nobody knows how many were lost: lines of their own tell
// it.
std::string loss(const TokenRescue& rescue) {
  std::uint64_t blocks = 0, frames = 0;
  for (const LostFrames& gap : rescue.lost) {
    blocks += gap.blocks;
    frames += gap.frames;
  }
  if (blocks > 0)
    return ", " + std::to_string(blocks) + " with " + counted(frames, "frame") + " lost";
  return rescue.cut_at.empty() && rescue.foreign_blocks == 0 ? ", none lost" : "";
}

void print(const std::string& name, const std::string& output, const TokenRescue& rescue) {
  std::fprintf(stderr, "%s: %s saved in %s%s\n", printable(name).c_str(),
               counted(rescue.saved_blocks, "block").c_str(), printable(output).c_str(),
               loss(rescue).c_str());
  for (const LostFrames& gap : rescue.lost) {
    const std::uint64_t last = std::uint64_t{gap.first_frame} + gap.frames - 1;
    line("lost: frames " + std::to_string(gap.first_frame) + " to " + std::to_string(last));
  }
  for (const std::uint32_t first : rescue.cut_at) {
    line("lost: an unknown number of frames from " + std::to_string(first) + " on");
  }
  print_guesses(rescue);
}

}  // namespace

int run_repair(const RepairOptions& options, const CommonOptions& common) {
  const auto jobs = plan_jobs(options.inputs, options.output, ".repaired.mimi");
  return run_each(jobs, [&](const Job& job) {
    ByteReader reader(job.input);
    const std::vector<std::uint8_t> bytes = reader.read_all();
    OutputFile file(job.output, options.output.force);
    const TokenRescue rescue = naming(reader.name(), [&] {
      return rescue_tokens(std::as_bytes(std::span(bytes)), token_sink(file));
    });
    file.commit();
    if (!common.quiet) print(reader.name(), file.name(), rescue);
  });
}

}  // namespace mimi::cli
