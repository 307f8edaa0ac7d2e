// mimi info: what token files say of themselves, every checksum verified.
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/byte_reader.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/named_error.h"
#include "cli/printable.h"
#include "cli/token_input.h"
#include "core/token_file.h"

namespace mimi::cli {
namespace {

using Json = nlohmann::ordered_json;

double seconds(const TokenFileInfo& info) {
  return static_cast<double>(info.totals.samples) / info.header.sample_rate_hz;
}

// Of the codes alone.
double kilobits_per_second(const TokenHeader& header) {
  return static_cast<double>(header.frame_codes()) * header.code_bits() * header.sample_rate_hz /
         header.frame_samples / 1000;
}

Json to_json(const TokenFileInfo::Segment& segment) {
  return {{"number", segment.start.number},
          {"first_frame", segment.start.first_frame},
          {"frames", segment.end.frames},
          {"origin_frame", segment.start.origin_frame},
          {"lead_in_samples", segment.start.lead_in_samples},
          {"samples", segment.end.samples},
          {"source_rate", segment.start.source_rate_hz},
          {"source_samples", segment.end.source_samples}};
}

Json to_json(const TokenGap& gap) {
  return {{"first_block", gap.first_block},
          {"blocks", gap.blocks},
          {"first_frame", gap.first_frame},
          {"frames", gap.frames}};
}

template <typename T>
Json list(const std::vector<T>& items) {
  Json all = Json::array();
  for (const T& item : items) all.push_back(to_json(item));
  return all;
}

Json to_json(const std::string& name, const TokenFileInfo& info) {
  const TokenHeader& header = info.header;
  const TokenTotals& totals = info.totals;
  Json text = Json::array();  // a key may be there often
  for (const auto& [key, value] : header.text) text.push_back({key, value});
  return {{"file", name},
          {"version", kTokenVersion},
          {"bytes", info.bytes},
          {"seconds", seconds(info)},
          {"sample_rate", header.sample_rate_hz},
          {"frame_samples", header.frame_samples},
          {"samples", totals.samples},
          {"source_rate", header.source_rate_hz},
          {"source_samples", totals.source_samples},
          {"source_samples_in_header",
           header.source_samples ? Json(*header.source_samples) : Json(nullptr)},
          {"streams", header.streams},
          {"levels", header.levels},
          {"codebook_size", header.codebook_size},
          {"code_bits", header.code_bits()},
          {"kbps", kilobits_per_second(header)},
          {"frames", totals.frames},
          {"blocks", totals.blocks},
          {"largest_block_frames", info.largest_block_frames},
          {"lost_frames", totals.lost_frames},
          {"codes_crc", hex_text(totals.codes_crc)},
          {"model", header.model_name},
          {"fingerprint", hex_text(header.model_fingerprint)},
          {"window", window_name(header.window)},
          {"dtype", token_dtype_name(header.dtype)},
          {"arithmetic", header.arithmetic},
          {"segments", list(info.segments)},
          {"gaps", list(info.gaps)},
          {"text", text}};
}

std::string number(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

void line(const char* label, const std::string& text) {
  std::printf("  %-10s %s\n", label, printable(text).c_str());
}

std::string source_text(const TokenFileInfo& info) {
  const TokenHeader& header = info.header;
  if (header.source_rate_hz == 0) return "of several rates, or unknown";
  return counted(info.totals.source_samples, "sample") + " at " +
         std::to_string(header.source_rate_hz) + " Hz" +
         (header.source_samples ? "" : " (not known to the header)");
}

void print(const std::string& name, const TokenFileInfo& info) {
  const TokenHeader& header = info.header;
  const TokenTotals& totals = info.totals;
  std::printf("%s\n", printable(name).c_str());
  line("file", "version " + std::to_string(kTokenVersion) + ", " + counted(info.bytes, "byte") +
                   ", every checksum right");
  line("sound", number(seconds(info), 2) + " s, " + counted(totals.samples, "sample") + " at " +
                    std::to_string(header.sample_rate_hz) + " Hz, " +
                    counted(static_cast<std::uint64_t>(header.streams), "stream"));
  line("source", source_text(info));
  line("codes", counted(static_cast<std::uint64_t>(header.levels), "level") + " of " +
                    std::to_string(header.codebook_size) + " entries (" +
                    std::to_string(header.code_bits()) + " bits), " +
                    number(kilobits_per_second(header), 3) + " kbps, CRC-32C " +
                    hex_text(totals.codes_crc));
  line("frames", std::to_string(totals.frames) + " of " + std::to_string(header.frame_samples) +
                     " samples, in " + counted(totals.blocks, "block") + " of up to " +
                     std::to_string(info.largest_block_frames));
  line("model", header.model_name + ", fingerprint " + hex_text(header.model_fingerprint));
  line("window", std::string(window_name(header.window)));
  line("arithmetic", std::string(token_dtype_name(header.dtype)) + ", number " +
                         std::to_string(header.arithmetic));
  for (const auto& [key, value] : header.text) line("text", key + " = " + value);
  for (const TokenFileInfo::Segment& segment : info.segments) {
    if (info.segments.size() == 1 && segment.start.lead_in_samples == 0) break;
    line("segment", std::to_string(segment.start.number) + ": " +
                        counted(segment.end.frames, "frame") + " from frame " +
                        std::to_string(segment.start.origin_frame) + " of its recording, " +
                        counted(segment.start.lead_in_samples, "sample") + " of lead-in, " +
                        counted(segment.end.samples, "sample"));
  }
  for (const TokenGap& gap : info.gaps) {
    line("gap", counted(gap.frames, "frame") + " lost from frame " +
                    std::to_string(gap.first_frame) + " on, " + counted(gap.blocks, "block"));
  }
}

}  // namespace

int run_info(const InfoOptions& options) {
  return run_each(reading_jobs(options.inputs), [&](const Job& job) {
    ByteReader bytes(job.input);
    const TokenFileInfo info =
        naming(bytes.name(), [&] { return read_token_info(token_source(bytes)); });
    if (options.json) {
      std::printf("%s\n", printable_json(to_json(bytes.name(), info)).c_str());
    } else {
      print(bytes.name(), info);
    }
  });
}

}  // namespace mimi::cli
