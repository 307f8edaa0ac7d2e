// mimi convert: token files to and from other programs' formats.
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/byte_reader.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/named_error.h"
#include "cli/token_input.h"
#include "cli/token_output.h"

namespace mimi::cli {
namespace {

struct Target {
  TableFormat format;
  CodeType type;
  std::string suffix;
};

Target target_named(const std::string& name) {
  if (name == "npy") return {TableFormat::kNpy, CodeType::kUint16, ".npy"};
  if (name == "codec") return {TableFormat::kNpy, CodeType::kInt32, ".npy"};
  if (name == "safetensors") return {TableFormat::kSafetensors, CodeType::kInt64, ".safetensors"};
  if (name == "moshi") return {TableFormat::kMoshi, CodeType::kInt16, ".moshi.mimi"};
  if (name == "text") return {TableFormat::kText, CodeType::kInt32, ".txt"};
  return {TableFormat::kMimi, CodeType::kUint16, ".mimi"};
}

Target target_of(const ConvertOptions& options) {
  if (!options.format.empty()) return target_named(options.format);
  const std::string suffix = std::filesystem::path(options.output.path).extension();
  if (suffix == ".npy") return target_named("npy");
  if (suffix == ".safetensors") return target_named("safetensors");
  if (suffix == ".txt") return target_named("text");
  if (suffix == ".mimi") return target_named("mimi");
  throw UsageError(
      "--as FORMAT, or -o with the suffix .mimi, .npy, .safetensors or .txt, must say "
      "what to make");
}

// What the published Mimi's tokens are, of which nothing else is known.
TokenHeader default_header() {
  TokenHeader header;
  header.sample_rate_hz = 24000;
  header.frame_samples = 1920;
  header.levels = 1;
  header.codebook_size = 2048;
  return header;
}

// Says what an array without a description cannot hold.
void report_losses(const std::string& name, const TokenTable& table, CodeType type) {
  std::size_t lost = 0, lead_in = 0;
  for (std::size_t i = 0; i < table.frames(); ++i) lost += table.is_lost(i) ? 1U : 0U;
  for (const TokenTable::Segment& segment : table.segments) lead_in += segment.lead_in_samples;
  std::string losses;
  if (table.segments.size() > 1) losses += ", where its segments begin";
  if (lead_in > 0) losses += ", that its beginning is a lead-in";
  if (lost > 0)
    losses +=
        ", " + std::to_string(lost) + " lost frames but as " + std::to_string(lost_code(type));
  if (!losses.empty()) report(name + ": this format does not keep" + losses.substr(1));
}

void write_bytes(OutputFile& file, const std::vector<std::uint8_t>& bytes) { file.write(bytes); }

void write_table(const std::string& name, const TokenTable& table, const Target& target,
                 OutputFile& file, bool quiet) {
  const bool keeps_all = target.format != TableFormat::kNpy && target.format != TableFormat::kMoshi;
  switch (target.format) {
    case TableFormat::kMimi:
      write_mimi(table, token_sink(file));
      break;
    case TableFormat::kNpy:
      write_bytes(file, npy_file(table, target.type));
      break;
    case TableFormat::kSafetensors:
      write_bytes(file, safetensors_file(table, target.type));
      break;
    case TableFormat::kMoshi:
      write_bytes(file, moshi_file(table));
      break;
    case TableFormat::kText:
      write_bytes(file, text_file(table));
      break;
  }
  file.commit();
  if (!keeps_all && !quiet) report_losses(name, table, target.type);
}

}  // namespace

int run_convert(const ConvertOptions& options, const CommonOptions& common) {
  Target target = target_of(options);
  if (options.type) {
    if (target.format != TableFormat::kNpy && target.format != TableFormat::kSafetensors) {
      throw UsageError("--dtype is for npy and safetensors");
    }
    target.type = *options.type;
  }
  const auto jobs = plan_jobs(options.inputs, options.output, target.suffix);
  for (const Job& job : jobs) {
    if (options.like.empty() || !is_same_file(options.like, job.output)) continue;
    throw UsageError(options.like + ": would be overwritten by the output of " + job.input);
  }
  const TokenHeader like =
      options.like.empty() ? default_header() : TokenInput(options.like).header();
  return run_each(jobs, [&](const Job& job) {
    ByteReader reader(job.input);
    const std::vector<std::uint8_t> bytes = reader.read_all();
    naming(reader.name(), [&] {
      const TokenTable table = read_table(bytes, like);
      OutputFile file(job.output, options.output.force);
      write_table(reader.name(), table, target, file, common.quiet);
    });
  });
}

}  // namespace mimi::cli
