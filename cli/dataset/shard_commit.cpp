#include "cli/dataset/shard_commit.h"

#include <cstdio>
#include <memory>

#include "cli/dataset/durable_file.h"
#include "cli/dataset/file_io.h"
#include "cli/dataset/shard_writer.h"

namespace mimi::cli {
namespace {

constexpr float kSilentPeak = 0.001F;

std::string crc_text(const RowCodes& codes) {
  std::uint32_t crc = 0;
  codes.each_frame([&](std::span<const std::uint16_t> run) { crc = codes_crc(crc, run); });
  return hex_text(crc);
}

Json error_json(const Row& row, const RowState& state) {
  Json json = describe(row);
  json["error"] = state.error;
  if (!row.fields.is_null()) json["fields"] = row.fields;
  return json;
}

Json manifest_json(const Row& row, const RowState& state, const RowCodes& codes,
                   const std::string& output) {
  const RecordingEnd& end = *state.end;
  Json json = describe(row);
  json["seconds"] = static_cast<double>(end.source_samples) / end.source_rate_hz;
  json["source_rate"] = end.source_rate_hz;
  json["source_samples"] = end.source_samples;
  json["samples"] = end.samples;
  json["frames"] = codes.frames();
  json["levels"] = codes.levels();
  json["output"] = output;
  json["sha256"] = hex(state.source);
  json["codes_crc32c"] = crc_text(codes);
  if (state.peak < kSilentPeak) json["warning"] = "silent";
  if (!row.fields.is_null()) json["fields"] = row.fields;
  return json;
}

}  // namespace

void commit_shard(Shard& shard, const Plan& plan, const Workspace& workspace,
                  const DatasetSettings& settings) {
  const auto writer = make_shard_writer(workspace, settings, shard.number());
  const auto each_row = [&](auto take) {
    for (std::uint64_t i = 0; i < shard.rows().size(); ++i) {
      take(plan.row(shard.first_row() + i), shard.rows()[i]);
    }
  };
  each_row([&](const Row& row, const RowState& state) {
    if (!state.failed()) writer->announce(row.id, state.frames());
  });
  DurableFile finished(workspace.finished(shard.number()),
                       workspace.unfinished(shard.number(), "jsonl"));
  finished.write(bytes_of(shard_head(settings, shard.number()) + "\n"));
  each_row([&](const Row& row, const RowState& state) {
    if (state.failed()) {
      finished.write(bytes_of(json_text(error_json(row, state)) + "\n"));
      return;
    }
    const RowCodes codes(shard, state, settings.levels);
    const std::string output = output_place(settings.form, row.id, shard.number());
    const DoneRow done = {.id = row.id,
                          .line = json_text(manifest_json(row, state, codes, output)),
                          .source_samples = state.end->source_samples,
                          .source_rate_hz = state.end->source_rate_hz,
                          .samples = state.end->samples};
    writer->add(done, codes);
    finished.write(bytes_of(done.line + "\n"));
  });
  writer->finish();
  finished.commit();
  shard.journal().remove();
}

}  // namespace mimi::cli
