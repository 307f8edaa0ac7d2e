// Parts, joins, repairs and tables of whole .mimi files: the input says what such a file is made
// of, since chance would hardly make its checksums, index and totals agree.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "cli/token_table.h"
#include "core/record_finder.h"
#include "core/token_rescue.h"
#include "tests/fuzz/token_file_maker.h"
#include "tests/token_parts.h"
#include "tests/token_samples.h"

namespace mimi::test {
namespace {

constexpr std::uint64_t kMostTimelineSamples = 2000;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::abort();
}

TokenHeader some_header(FuzzedDataProvider& data) {
  TokenHeader header = made_up_header();
  header.sample_rate_hz = data.PickValueInArray({100, 24000, std::numeric_limits<int>::max()});
  header.frame_samples = data.PickValueInArray({1, 7, 1920, 65535});
  header.levels = data.ConsumeIntegralInRange(1, 3);
  header.streams = data.ConsumeIntegralInRange(1, 2);
  header.codebook_size = data.PickValueInArray({2, 2000, 65536});
  header.source_rate_hz = data.PickValueInArray<std::uint32_t>({0, 1, 44100, 0xFFFFFFFF});
  return header;
}

// The positions of a segment that is cut could not be numbered.
bool may_refuse(const TokenFileInfo& info) {
  return std::ranges::any_of(info.segments, [](const auto& segment) {
    return std::uint64_t{segment.start.origin_frame} + segment.end.frames > 0xFFFFFFFF;
  });
}

void check_parts(const Bytes& file, const TokenFileInfo& info, FuzzedDataProvider& data,
                 int block_frames) {
  const std::uint64_t total = info.totals.samples;
  expect(cut(file, {.block_frames = block_frames}) == file, "a part of all is the file itself");
  if (total < 2) return;
  const auto at = data.ConsumeIntegralInRange<std::uint64_t>(1, total - 1);
  const auto levels = data.ConsumeIntegralInRange(1, info.header.levels);
  const std::uint32_t lead_in = some_number(data);
  Bytes first, second;
  try {
    first = cut(file, {.to_sample = at, .levels = levels, .lead_in_frames = lead_in});
    second = cut(file, {.from_sample = at, .levels = levels, .lead_in_frames = lead_in});
  } catch (const Error&) {
    expect(may_refuse(info), "the parts can be had");
    return;
  }
  expect(sample_count(first) == at && sample_count(second) == total - at,
         "parts are as long as asked");
  // A lead-in is in both parts.
  const auto frame_count = [](const Bytes& part) {
    return std::uint64_t{read_token_info(source_of(part)).totals.frames};
  };
  if (frame_count(first) + frame_count(second) > 0xFFFFFFFF) return;
  const Bytes both = joined(first, second, block_frames);
  expect(sample_count(both) == total, "the parts together are as long as the whole");
  expect(source_samples(both) == source_samples(file), "and as the whole's source");
  if (total > kMostTimelineSamples || info.totals.frames > kMostTimelineSamples) return;
  expect(timeline(both, levels) == timeline(file, levels), "they have the samples of the whole");
}

void check_repair_of_whole(const Bytes& file) {
  Bytes saved;
  const TokenRescue report = rescue_tokens(file, sink_to(saved));
  expect(report.foreign_records == 0 && report.lost.empty() && report.lost_segments == 0 &&
             report.lost_ends == 0,
         "repair finds nothing in a whole file");
  expect(saved == file, "repair keeps a whole file");
}

// Every frame that is there is where it was.
void check_frames(const Bytes& saved, const std::vector<Codes>& whole) {
  std::size_t number = 0;
  for (const Codes& codes : frames_of(saved)) {
    expect(codes.empty() || (number < whole.size() && codes == whole[number]),
           "repair leaves each frame in its place");
    ++number;
  }
}

// Of a file without a part of its bytes.
void check_repair(Bytes file, const TokenFileInfo& info, FuzzedDataProvider& data) {
  const bool is_short = info.totals.frames <= kMostTimelineSamples;
  const std::vector<Codes> whole = is_short ? frames_of(file) : std::vector<Codes>();
  const auto begin = data.ConsumeIntegralInRange<std::size_t>(0, file.size());
  const auto end = data.ConsumeIntegralInRange(begin, file.size());
  file.erase(file.begin() + static_cast<std::ptrdiff_t>(begin),
             file.begin() + static_cast<std::ptrdiff_t>(end));
  const auto records = find_records(file);
  const auto count = [&](RecordType type) {
    return std::ranges::count(records, type, &WholeRecord::type);
  };
  if (count(RecordType::kHeader) == 0) return;
  Bytes saved;
  const TokenRescue report = rescue_tokens(file, sink_to(saved));
  expect(report.foreign_records == 0, "what is left does not contradict itself");
  expect(report.saved_blocks == count(RecordType::kBlock), "every whole block is saved");
  expect(read_token_info(source_of(saved)).totals == report.totals, "the report is right");
  if (count(RecordType::kTotals) > 0) {
    expect(report.totals.frames == info.totals.frames, "repair keeps the count of frames");
  }
  if (is_short && report.totals.frames <= kMostTimelineSamples) check_frames(saved, whole);
}

// What `mimi convert` makes of it.
void check_table(const Bytes& file, const TokenFileInfo& info) {
  Bytes again;
  try {
    const auto* const first = reinterpret_cast<const std::uint8_t*>(file.data());
    cli::write_mimi(cli::read_mimi({first, file.size()}), sink_to(again));
  } catch (const Error&) {
    expect(info.totals.lost_frames * info.header.frame_codes() > 1U << 22,
           "a table can be made of it");
    return;
  }
  const TokenTotals totals = read_token_info(source_of(again)).totals;
  expect(totals.codes_crc == info.totals.codes_crc, "a table keeps the codes");
  expect(totals.samples == info.totals.samples, "a table keeps the length");
  expect(totals.frames == info.totals.frames, "a table keeps the frames");
  expect(totals.lost_frames == info.totals.lost_frames, "a table keeps what is lost");
}

void check(std::span<const std::uint8_t> input) {
  FuzzedDataProvider data(input.data(), input.size());
  TokenHeader header = some_header(data);
  const int block_frames = data.ConsumeIntegralInRange(1, 4);
  const std::vector<std::uint8_t> choices = data.ConsumeBytes<std::uint8_t>(24);
  const std::vector<std::uint8_t> content = data.ConsumeRemainingBytes<std::uint8_t>();
  const auto make = [&] {
    FuzzedDataProvider of_content(content.data(), content.size());
    return FileMaker(of_content, header, block_frames).make();
  };
  FuzzedDataProvider of_edits(choices.data(), choices.size());
  Bytes file;
  try {
    file = make();
    if (of_edits.ConsumeBool() && header.source_rate_hz != 0) {
      header.source_samples = source_samples(file);
      file = make();
    }
  } catch (const Error&) {
    return;
  }
  const TokenFileInfo info = read_token_info(source_of(file));
  check_parts(file, info, of_edits, block_frames);
  check_repair_of_whole(file);
  check_table(file, info);
  check_repair(std::move(file), info, of_edits);
}

}  // namespace
}  // namespace mimi::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size <= 256) mimi::test::check({data, size});
  return 0;
}
