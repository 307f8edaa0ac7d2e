// mimi verify: whether a dataset is what it says.
#include <filesystem>
#include <optional>
#include <random>
#include <string>

#include "cli/dataset/file_io.h"
#include "cli/dataset/line_reader.h"
#include "cli/dataset/merge.h"
#include "cli/dataset/parquet.h"
#include "cli/dataset/row_codes.h"
#include "cli/dataset/row_input.h"
#include "cli/dataset/source_file.h"
#include "cli/dataset/stored_codes.h"
#include "cli/dataset/tar.h"
#include "cli/dataset/tokenize.h"
#include "cli/dataset/unique_ids.h"
#include "cli/jobs.h"
#include "cli/named_error.h"
#include "cli/printable.h"
#include "core/token_file.h"

namespace mimi::cli {
namespace {

namespace fs = std::filesystem;

LineReader own_lines(const std::string& path) { return {open_for_reading(path), path}; }

// manifest.jsonl and errors.jsonl together, in the order of rows.
class RowLines {
 public:
  explicit RowLines(const Workspace& workspace)
      : manifest_{own_lines(workspace.manifest())}, errors_{own_lines(workspace.errors())} {}

  struct Line {
    bool failed = false;
    std::string text;
    Json json;
  };
  // None: the end.
  std::optional<Line> next() {
    fill(manifest_);
    fill(errors_);
    const bool takes_error =
        errors_.line && (!manifest_.line || number(errors_) < number(manifest_));
    std::optional<Line> line =
        std::exchange((takes_error ? errors_ : manifest_).line, std::nullopt);
    if (line) line->failed = takes_error;
    return line;
  }

 private:
  struct Lines {
    LineReader reader;
    std::optional<Line> line = {};
  };
  static std::uint64_t number(const Lines& lines) { return lines.line->json.at("row"); }

  static void fill(Lines& lines) {
    std::string text;
    if (lines.line || !lines.reader.next(text)) return;
    const Json json = parse_row_line(text);
    if (json.is_discarded()) {
      throw NamedError(lines.reader.name(),
                       "line " + std::to_string(lines.reader.number()) + " is damaged");
    }
    lines.line = {.text = text, .json = json};
  }

  Lines manifest_, errors_;
};

// The codes of a recording, encoded again as far as they are asked for.
class EncodedAgain {
 public:
  EncodedAgain(RowInput& input, Encoder& encoder) : input_(input), encoder_(encoder) {
    encoder_.reset();
  }

  // Whether these are the next ones.
  bool take(std::span<const std::uint16_t> run) {
    encode(run.size());
    if (codes_.size() < run.size() || !std::equal(run.begin(), run.end(), codes_.begin())) {
      return false;
    }
    codes_.erase(codes_.begin(), codes_.begin() + static_cast<std::ptrdiff_t>(run.size()));
    return true;
  }

  // Whether there are more codes than were taken.
  bool goes_on() {
    encode(1);
    return !codes_.empty();
  }

  // That were read, at the codec's rate: all, once it does not go on.
  std::int64_t samples() const { return samples_read_; }

 private:
  void encode(std::size_t count) {
    while (codes_.size() < count && !is_ended_) {
      is_ended_ = !input_.read(samples_);
      if (is_ended_) {
        encoder_.finish(codes_);
      } else {
        encoder_.push(samples_, codes_);
        samples_read_ += static_cast<std::int64_t>(samples_.size());
      }
    }
  }

  RowInput& input_;
  Encoder& encoder_;
  std::vector<float> samples_;
  std::vector<std::uint16_t> codes_;  // encoded and not yet taken
  std::int64_t samples_read_ = 0;
  bool is_ended_ = false;
};

class Verifier {
 public:
  Verifier(const VerifyOptions& options, const CommonOptions& common)
      : options_(options), common_(common), workspace_(options.dataset) {
    const DatasetFile dataset = find_finished(workspace_);
    settings_ = dataset.settings;
    told_ = *dataset.counts;
    if (is_sound(settings_.form)) throw NamedError(options.dataset, "holds sound, not tokens");
    if (settings_.form == Form::kParquet) check_writer();
    if (options.resample > 0) open_encoder();
  }

  int run() {
    RowLines lines(workspace_);
    std::uint64_t row = 0;
    while (const auto line = lines.next()) check_line(*line, row++);
    end_shard();
    check_totals(row);
    check_index_end();
    check_files();
    if (!common_.quiet) {
      report(options_.dataset + ": " + counted(counts_.done, "recording") + ", " +
             (options_.resample > 0 ? std::to_string(encoded_again_) + " encoded again, " : "") +
             counted(problems_, "problem"));
    }
    return problems_ > 0 ? kExitFailed : kExitDone;
  }

 private:
  void problem(const std::string& text) {
    report(text);
    ++problems_;
  }

  // Another would write other bytes of the same rows.
  void check_writer() const {
    const std::string writer = parquet_writer();
    if (writer == settings_.writer) return;
    throw NamedError(options_.dataset, "was written by " + settings_.writer +
                                           ", whose bytes cannot be verified by " + writer);
  }

  void open_encoder() {
    const Model model = open_model(common_, {.use = ModelUse::kEncode});
    check_model(settings_, model.info(), options_.dataset);
    const std::string dtype(dtype_name(model.info().dtype));
    if (dtype != settings_.dtype || settings_.arithmetic != kFirstArithmetic) {
      throw NamedError(options_.dataset, "was made in " + settings_.dtype + ", arithmetic " +
                                             std::to_string(settings_.arithmetic) +
                                             ", and cannot be made again in " + dtype +
                                             ", arithmetic " + std::to_string(kFirstArithmetic) +
                                             "; --dtype chooses another");
    }
    encoder_.emplace(model, EncoderOptions{.levels = settings_.levels,
                                           .stream = stream_options(settings_.window, common_)});
  }

  void check_line(const RowLines::Line& line, std::uint64_t row) {
    const std::uint64_t found = line.json.at("row");
    if (found != row) {
      throw NamedError(options_.dataset, "row " + std::to_string(std::min(row, found)) +
                                             (found > row ? " is missing" : " is there twice"));
    }
    if (row >= settings_.rows) return;
    const std::uint64_t shard = row / settings_.shard_size;
    if (shard != shard_number_) {
      end_shard();
      begin_shard(shard);
    }
    try {
      ids_.add(line.json.at("id").get<std::string>());
      if (line.failed) {
        ++counts_.failed;
      } else {
        check_row(line);
      }
    } catch (const Json::exception&) {
      problem(options_.dataset + ": row " + std::to_string(row) + ": its line is damaged");
    } catch (const Error& error) {
      problem(error.what());
    }
  }

  void begin_shard(std::uint64_t number) {
    shard_number_ = number;
    shard_.reset();
    shard_rows_ = 0;
    try {
      shard_.emplace(workspace_, settings_, number);
      shard_->check_file();
    } catch (const Error& error) {
      problem(error.what());
    }
  }

  void end_shard() {
    if (!shard_ || is_file_per_row(settings_.form)) return;
    if (shard_->rows_in_file() == shard_rows_) return;
    problem(workspace_.path(output_place(settings_.form, "", *shard_number_)) + ": has " +
            std::to_string(shard_->rows_in_file()) + " recordings, the manifest " +
            std::to_string(shard_rows_));
  }

  void check_row(const RowLines::Line& line) {
    const Json& row = line.json;
    ++counts_.done;
    ++shard_rows_;
    counts_.samples += row.at("samples").get<std::uint64_t>();
    counts_.frames += row.at("frames").get<std::uint64_t>();
    counts_.seconds += row.at("seconds").get<double>();
    const std::string place =
        output_place(settings_.form, row.at("id").get<std::string>(), *shard_number_);
    const std::string name =
        workspace_.path(place) + ": row " + std::to_string(row.at("row").get<std::uint64_t>());
    check_index(row, place);
    if (row.at("output") != place)
      throw NamedError(name, "its output is not what the manifest says");
    if (!shard_) return;
    const auto codes = shard_->codes(row, line.text);
    check_shape(row, *codes, name);
    check_codes(row, *codes, name);
    if (options_.sources) check_source(row);
    if (options_.resample > 0 && is_chosen(row.at("row"))) encode_again(row, *codes, name);
  }

  // Of safetensors: line after line as merge writes it.
  void check_index(const Json& row, const std::string& place) {
    if (settings_.form != Form::kSafetensors) return;
    if (!index_) expect_index_line("{\"weight_map\": {");
    expect_index_line(json_text(tensor_name_of_id(row.at("id").get<std::string>())) + ": " +
                      json_text(place) + (counts_.done < told_.done ? "," : ""));
  }

  void expect_index_line(const std::string& expected) {
    if (!index_) index_.emplace(own_lines(workspace_.path("index.json")));
    std::string line;
    if (index_->next(line) && line == expected) return;
    throw NamedError(index_->name(),
                     "line " + std::to_string(index_->number()) + " is not what the manifest says");
  }

  void check_index_end() {
    if (settings_.form != Form::kSafetensors) return;
    try {
      if (!index_) expect_index_line("{\"weight_map\": {");
      const std::uint64_t bytes = 2 * told_.frames * static_cast<std::uint64_t>(settings_.levels);
      expect_index_line("}, \"metadata\": {\"total_size\": " + std::to_string(bytes) + "}}");
      std::string line;
      if (index_->next(line)) throw NamedError(index_->name(), "goes on after its end");
    } catch (const Error& error) {
      problem(error.what());
    }
  }

  void check_shape(const Json& row, const StoredCodes& codes, const std::string& name) const {
    const auto frame = static_cast<std::uint64_t>(settings_.frame_samples);
    const std::uint64_t samples = row.at("samples");
    const std::uint64_t frames = samples / frame + (samples % frame == 0 ? 0 : 1);
    naming(name, [&] { mimi::cli::check_shape(codes, settings_.levels, frames); });
    if (row.at("frames") == frames && row.at("levels") == settings_.levels) return;
    throw NamedError(name, "its levels and frames are not what the manifest says");
  }

  void check_codes(const Json& row, const StoredCodes& codes, const std::string& name) const {
    std::uint32_t crc = 0;
    codes.each_frame([&](std::span<const std::uint16_t> run) {
      for (const std::uint16_t code : run) {
        if (code < settings_.codebook_size) continue;
        throw NamedError(name, "code " + std::to_string(code) + " is not below " +
                                   std::to_string(settings_.codebook_size));
      }
      crc = codes_crc(crc, run);
    });
    if (row.at("codes_crc32c") != hex_text(crc)) {
      throw NamedError(name, "the checksum of its codes is " + hex_text(crc) + ", expected " +
                                 row.at("codes_crc32c").get<std::string>());
    }
  }

  Row source_row(const Json& json) {
    Row row = row_from_json(json);
    if (!row.member) return row;
    const std::optional<TarMember> member = find_member(row);
    if (!member) throw NamedError(row.name(), "is not there any more");
    row.member = Row::Member{member->name, member->offset, member->bytes};
    return row;
  }

  // Rows come in the order of their members: the search goes on behind the last one.
  std::optional<TarMember> find_member(const Row& row) {
    const FileStamp stamp = stamp_of(row);  // throws for what might never answer
    if (tar_ && tar_name_ == row.source && tar_->stamp() == stamp) {
      if (auto member = next_member(row.member->name)) return member;
    }
    tar_.emplace(row.source);
    tar_name_ = row.source;
    return next_member(row.member->name);
  }

  std::optional<TarMember> next_member(const std::string& name) {
    while (std::optional<TarMember> member = tar_->next()) {
      if (member->name == name) return member;
    }
    return std::nullopt;
  }

  Row check_source(const Json& json) {
    Row row = source_row(json);
    if (hex(hashes_.of(row, stamp_of(row))) != json.at("sha256")) {
      throw NamedError(row.name(), "is not the file that was tokenized: its SHA-256 is another");
    }
    return row;
  }

  bool is_chosen(std::uint64_t row) const {
    const Sha256Digest digest = sha256(std::to_string(options_.seed) + "/" + std::to_string(row));
    const double share = (digest[0] * 65536.0 + digest[1] * 256.0 + digest[2]) / 16777216.0;
    return share < options_.resample;
  }

  void encode_again(const Json& json, const StoredCodes& stored, const std::string& name) {
    const Row row = check_source(json);
    const SourceOptions options = {.channels = settings_.channels,
                                   .resampler = settings_.resampler};
    RowInput input(row, options, settings_.sample_rate);
    EncodedAgain again(input, *encoder_);
    std::uint64_t frame = 0;
    stored.each_frame([&](std::span<const std::uint16_t> run) {
      const std::uint64_t end = frame + run.size() / static_cast<std::size_t>(settings_.levels);
      if (!again.take(run)) {
        throw NamedError(name, "encoded again, its codes differ within frames " +
                                   std::to_string(frame) + " to " + std::to_string(end));
      }
      frame = end;
    });
    if (again.goes_on()) {
      throw NamedError(name,
                       "encoded again, it has more than " + std::to_string(frame) + " frames");
    }
    check_equal(json, "samples", again.samples(), name);
    check_equal(json, "source_samples", input.source_samples_read(), name);
    check_equal(json, "source_rate", input.source_rate_hz(), name);
    ++encoded_again_;
  }

  static void check_equal(const Json& json, const char* key, std::int64_t found,
                          const std::string& name) {
    if (json.at(key) == found) return;
    throw NamedError(name, "'" + std::string(key) + "' is " + json_text(json.at(key)) +
                               ", encoded again " + std::to_string(found));
  }

  void check_totals(std::uint64_t rows) {
    if (rows != settings_.rows) {
      problem(options_.dataset + ": has " + std::to_string(rows) + " rows, dataset.json says " +
              std::to_string(settings_.rows));
    }
    if (ids_.find_same()) problem(options_.dataset + ": two rows have the same id");
    const bool same = counts_.done == told_.done && counts_.failed == told_.failed &&
                      counts_.samples == told_.samples && counts_.frames == told_.frames &&
                      counts_.seconds == told_.seconds;
    if (!same) problem(workspace_.dataset_file() + ": its counts are not those of the manifest");
  }

  // Outputs that no row knows.
  void check_files() {
    const std::string suffix = fs::path(output_place(settings_.form, "x", 0)).extension();
    std::uint64_t files = 0;
    std::string place = options_.dataset;  // where it is looked next
    std::error_code error;
    for (fs::recursive_directory_iterator entry(place, error), end; !error && entry != end;
         entry.increment(error)) {
      place = entry->path();
      std::error_code unknown;  // is no file of ours
      if (entry->path().extension() == suffix && entry->is_regular_file(unknown)) ++files;
    }
    if (error) throw NamedError(place, "cannot list: " + error.message());
    const std::uint64_t expected =
        is_file_per_row(settings_.form) ? counts_.done : settings_.shards();
    if (files <= expected) return;
    problem(options_.dataset + ": has " + std::to_string(files) + " files '*" + suffix +
            "', expected " + std::to_string(expected));
  }

  const VerifyOptions& options_;
  const CommonOptions& common_;
  Workspace workspace_;
  DatasetSettings settings_;
  DatasetCounts told_, counts_;
  UniqueIds ids_;
  std::optional<std::uint64_t> shard_number_;
  std::optional<StoredShard> shard_;
  std::optional<LineReader> index_;
  std::uint64_t shard_rows_ = 0;
  std::optional<TarReader> tar_;  // of the last row's source
  std::string tar_name_;
  SourceHashes hashes_;
  std::optional<Encoder> encoder_;
  std::uint64_t encoded_again_ = 0;
  std::uint64_t problems_ = 0;
};

}  // namespace

int run_verify(const VerifyOptions& options, const CommonOptions& common) {
  return Verifier(options, common).run();
}

}  // namespace mimi::cli
