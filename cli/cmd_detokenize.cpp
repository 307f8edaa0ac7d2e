// mimi detokenize: a dataset of tokens back to recordings.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cli/audio_output.h"
#include "cli/dataset/dataset_progress.h"
#include "cli/dataset/durable_file.h"
#include "cli/dataset/file_io.h"
#include "cli/dataset/line_reader.h"
#include "cli/dataset/make_dataset.h"
#include "cli/dataset/merge.h"
#include "cli/dataset/output_places.h"
#include "cli/dataset/parquet.h"
#include "cli/dataset/row_codes.h"
#include "cli/dataset/sha256.h"
#include "cli/dataset/stored_codes.h"
#include "cli/dataset/tokenize.h"
#include "cli/jobs.h"
#include "cli/named_error.h"
#include "cli/resampler.h"
#include "cli/start_thread.h"
#include "cli/usage_error.h"

namespace mimi::cli {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr auto kTick = 100ms;

// A recording to be made: a line of the dataset's manifest.
struct Recording {
  std::uint64_t row = 0;  // of the recordings
  std::string line;
  Json json;
  std::string made;  // the line about it
};

// Whether the line says all that a recording is made from.
bool describes_codes(const Json& json) {
  if (json.is_discarded()) return false;
  const auto is_there = [&json](const char* key, bool (Json::*is)() const noexcept) {
    const auto member = json.find(key);
    return member != json.end() && ((*member).*is)();
  };
  for (const char* const key : {"id", "output", "codes_crc32c"}) {
    if (!is_there(key, &Json::is_string)) return false;
  }
  for (const char* const key : {"frames", "samples", "source_samples", "source_rate"}) {
    if (!is_there(key, &Json::is_number_unsigned)) return false;
  }
  return json.at("source_rate") > 0 && json.at("source_rate") <= std::numeric_limits<int>::max();
}

std::string sample_format_name(const DetokenizeOptions& options) {
  if (options.form == Form::kOgg) return "vorbis";
  switch (options.sink.sample) {
    case SampleFormat::kS24:
      return "s24";
    case SampleFormat::kF32:
      return "f32";
    case SampleFormat::kS16:
      break;
  }
  return "s16";
}

// The hash of the manifest, whose lines must be as many as the dataset says.
std::string hash_of_manifest(const std::string& path, std::uint64_t rows) {
  ByteReader bytes(open_for_reading(path), path);
  Sha256 hash;
  std::vector<std::uint8_t> buffer(1 << 16);
  std::uint64_t lines = 0;
  std::uint8_t last = '\n';
  while (const std::size_t count = bytes.read(buffer)) {
    const std::span<const std::uint8_t> read = std::span(buffer).first(count);
    hash.update(read);
    lines += static_cast<std::uint64_t>(std::count(read.begin(), read.end(), '\n'));
    last = read.back();
  }
  if (last != '\n') ++lines;
  if (lines != rows) {
    throw NamedError(
        path, "has " + std::to_string(lines) + " lines, dataset.json says " + std::to_string(rows));
  }
  return hex(hash.finish());
}

// Damaged lines are told of when their turn comes.
void each_id(const Workspace& tokens, const std::function<void(const std::string&)>& take) {
  LineReader lines(open_for_reading(tokens.manifest()), tokens.manifest());
  std::string line;
  while (lines.next(line)) {
    const Json json = parse_row_line(line);
    if (describes_codes(json)) take(json.at("id").get<std::string>());
  }
}

void check_places(const Workspace& tokens, Form form) {
  OutputPlaces places("." + std::string(form_name(form)), "another --as has other names");
  each_id(tokens, [&places](const std::string& id) { places.add(id); });
  naming(tokens.out(), [&] {
    places.check_own();
    if (!places.may_be_taken()) return;
    each_id(tokens, [&places](const std::string& id) { places.check(id); });
  });
}

class Detokenizing {
 public:
  Detokenizing(const Workspace& tokens, const DatasetSettings& token_settings,
               const Workspace& sound, const DatasetSettings& settings, const Model& model,
               const DetokenizeOptions& options, const CommonOptions& common)
      : tokens_(tokens),
        token_settings_(token_settings),
        sound_(sound),
        settings_(settings),
        model_(model),
        options_(options),
        workers_(thread_count(common)),
        progress_({.verb = "detokenized",
                   .errors = where_failures_are(sound, options.share),
                   .workers = workers_,
                   .json = options.json_progress,
                   .quiet = common.quiet}) {
    for (std::uint64_t shard = 0; shard < settings.shards(); ++shard) {
      if (options.share.has(shard)) rows_ += settings.rows_of(shard);
    }
  }

  void run() {
    LineReader lines(open_for_reading(tokens_.manifest()), tokens_.manifest());
    for (std::uint64_t shard = 0; shard < settings_.shards(); ++shard) {
      const bool is_wanted = options_.share.has(shard);
      if (is_wanted && !sound_.is_finished(shard, settings_)) {
        make_shard(shard, read_shard(lines, shard));
        continue;
      }
      if (is_wanted) skip_finished(shard);
      std::string line;
      for (std::uint64_t i = 0; i < settings_.rows_of(shard); ++i) lines.next(line);
    }
    progress_.finish(figures());
  }

  bool some_failed() const { return figures().some_failed(); }

 private:
  // A shard of the dataset, or why it cannot be read.
  struct Source {
    std::optional<StoredShard> shard;
    std::string error;
  };
  using Sources = std::map<std::uint64_t, Source>;

  DatasetFigures figures() const {
    return {.rows = rows_,
            .done = done_,
            .failed = failed_,
            .skipped = skipped_,
            .failed_before = failed_before_,
            .audio_s = static_cast<double>(samples_) / settings_.sample_rate};
  }

  void skip_finished(std::uint64_t shard) {
    const FailedRows failed = sound_.failed_rows(shard, settings_);
    if (options_.strict && failed.count > 0) throw Error(failed.error);
    skipped_ += settings_.rows_of(shard);
    failed_before_ += failed.count;
  }

  std::vector<Recording> read_shard(LineReader& lines, std::uint64_t shard) const {
    std::vector<Recording> recordings;
    const std::uint64_t first = settings_.first_row(shard);
    std::string line;
    for (std::uint64_t row = first; row < first + settings_.rows_of(shard); ++row) {
      const bool is_there = lines.next(line);
      Json json = parse_row_line(line);
      if (!is_there || !describes_codes(json)) {
        throw NamedError(lines.name(),
                         "line " + std::to_string(row + 1) + " is missing or damaged");
      }
      recordings.push_back({.row = row, .line = line, .json = std::move(json)});
    }
    return recordings;
  }

  void make_shard(std::uint64_t shard, std::vector<Recording> recordings) {
    const std::string lock_name = sound_.journal(shard);
    const UniqueFd lock = lock_new_file(lock_name);
    sound_.check_unfinished();
    const Sources sources = open_sources(recordings);
    std::vector<Recording*> order;
    for (Recording& recording : recordings) order.push_back(&recording);
    std::stable_sort(order.begin(), order.end(), [](const Recording* a, const Recording* b) {
      return a->json.at("frames") > b->json.at("frames");
    });
    make_all(order, sources, shard);
    DurableFile finished(sound_.finished(shard), sound_.unfinished(shard, "jsonl"));
    finished.write(bytes_of(shard_head(settings_, shard) + "\n"));
    for (const Recording& recording : recordings) finished.write(bytes_of(recording.made + "\n"));
    finished.commit();
    unlink(lock_name.c_str());  // one that stays, of a finished shard, is in nobody's way
  }

  std::uint64_t source_of(const Recording& recording) const {
    return recording.json.at("row").get<std::uint64_t>() / token_settings_.shard_size;
  }

  // What is wrong with a shard's file fails its recordings, anything else everything.
  Sources open_sources(const std::vector<Recording>& recordings) const {
    Sources sources;
    for (const Recording& recording : recordings) {
      const std::uint64_t shard = source_of(recording);
      const auto [source, is_new] = sources.try_emplace(shard);
      if (!is_new) continue;
      try {
        source->second.shard.emplace(tokens_, token_settings_, shard);
      } catch (const ShortageError&) {
        throw;
      } catch (const NamedError& error) {
        if (error.name() != tokens_.path(output_place(token_settings_.form, "", shard))) throw;
        source->second.error = error.what();
      }
    }
    return sources;
  }

  // As many at once as there are workers; the first failure of the whole is rethrown.
  void make_all(const std::vector<Recording*>& order, const Sources& sources, std::uint64_t shard) {
    std::atomic<std::size_t> next = 0, ended = 0;
    std::exception_ptr failure;
    std::mutex mutex;
    const auto stop = [&] {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = order.size();
    };
    const auto work = [&] {
      try {
        Decoder decoder(model_, {.levels = first_levels(settings_.levels),
                                 .stream = {.window = settings_.window}});
        for (std::size_t i = next++; i < order.size(); i = next++) {
          make(*order[i], sources, decoder, shard);
        }
      } catch (...) {
        stop();
      }
      ++ended;
    };
    std::vector<std::thread> threads;
    try {
      for (int i = 0; i < workers_; ++i) threads.push_back(start_thread(work));
    } catch (...) {
      stop();
    }
    while (ended < threads.size()) {
      std::this_thread::sleep_for(ended + 1 < threads.size() ? kTick / 10 : 1ms);
      progress_.update(figures());
    }
    for (std::thread& thread : threads) thread.join();
    if (failure) std::rethrow_exception(failure);
  }

  void make(Recording& recording, const Sources& sources, Decoder& decoder, std::uint64_t shard) {
    const Json& json = recording.json;
    const std::string id = json.at("id");
    Json made = {{"id", id},
                 {"row", recording.row},
                 {"source", tokens_.path(json.at("output").get<std::string>())}};
    try {
      const Source& source = sources.at(source_of(recording));
      const std::int64_t samples = length(json);
      const std::string place = output_place(settings_.form, id, shard);
      if (!fits_file_system(file_name_of_id(id)))
        throw Error("its id is too long for the name of a file");
      if (type_of(sound_.path(place)) != fs::file_type::regular) {
        if (!source.shard) throw Error(source.error);
        decode(*source.shard->codes(json, recording.line), json, decoder, samples, place,
               recording.row);
      }
      made["seconds"] = static_cast<double>(samples) / rate_hz();
      made["rate"] = rate_hz();
      made["samples"] = samples;
      made["frames"] = json.at("frames");
      made["output"] = place;
      ++done_;
    } catch (const ShortageError&) {
      throw;
    } catch (const Error& error) {
      if (options_.strict || is_of_output(error)) throw;
      made["error"] = error.what();
      ++failed_;
    }
    recording.made = json_text(made);
  }

  // What goes wrong with what is written is no fault of the recording.
  bool is_of_output(const Error& error) const {
    return std::string_view(error.what()).starts_with(sound_.out() + "/");
  }

  int rate_hz() const { return settings_.rate_hz; }

  std::int64_t length(const Json& json) const {
    return length_at({.samples = json.at("samples"),
                      .rate_hz = settings_.sample_rate,
                      .source_samples = json.at("source_samples"),
                      .source_rate_hz = json.at("source_rate")},
                     rate_hz());
  }

  void decode(const StoredCodes& codes, const Json& json, Decoder& decoder, std::int64_t samples,
              const std::string& place, std::uint64_t row) {
    naming(json.at("output").get<std::string>(),
           [&] { check_shape(codes, settings_.levels, json.at("frames")); });
    const std::string part =
        sound_.work() + "/" + shard_name(row) + "." + std::string(form_name(settings_.form));
    unlink(part.c_str());  // a link there, of whoever made the folder, would be followed
    SinkOptions sink = options_.sink;
    sink.rate_hz = rate_hz();
    AudioOutput output({.place = {.path = part, .force = true, .on_signal = OnSignal::kLeave},
                        .sink = sink,
                        .from_hz = settings_.sample_rate,
                        .expected_s = static_cast<double>(samples) / rate_hz()});
    decoder.reset();
    std::uint32_t crc = 0;
    auto left = json.at("samples").get<std::int64_t>();
    codes.each_frame([&](std::span<const std::uint16_t> run) {
      crc = codes_crc(crc, run);
      std::vector<float> audio;
      decoder.push(run, audio);
      audio.resize(std::min(audio.size(), static_cast<std::size_t>(left)));
      left -= static_cast<std::int64_t>(audio.size());
      samples_ += static_cast<std::int64_t>(audio.size());
      output.write(std::move(audio));
    });
    if (json.at("codes_crc32c") != hex_text(crc) || left != 0) {
      throw Error(json.at("output").get<std::string>() +
                  ": its codes are not those of the manifest");
    }
    output.finish(samples);
    move_into_place(part, sound_.path(place));
  }

  const Workspace& tokens_;
  const DatasetSettings& token_settings_;
  const Workspace& sound_;
  const DatasetSettings& settings_;
  const Model& model_;
  const DetokenizeOptions& options_;
  int workers_;
  DatasetProgress progress_;
  std::uint64_t rows_ = 0, skipped_ = 0, failed_before_ = 0;
  std::atomic<std::uint64_t> done_ = 0, failed_ = 0;
  std::atomic<std::int64_t> samples_ = 0;
};

DatasetSettings sound_settings(const Workspace& tokens, const DatasetFile& dataset,
                               const ModelInfo& model, const DetokenizeOptions& options) {
  DatasetSettings settings = dataset.settings;
  settings.form = options.form;
  settings.rows = dataset.counts->done;
  settings.inputs_sha256 = hash_of_manifest(tokens.manifest(), settings.rows);
  settings.dtype = dtype_name(model.dtype);
  settings.channels = {};
  settings.resampler = options.sink.resampler;
  settings.rate_hz = options.sink.rate_hz == 0 ? settings.sample_rate : options.sink.rate_hz;
  settings.sample_format = sample_format_name(options);
  return settings;
}

Container container(Form form) {
  if (form == Form::kFlac) return Container::kFlac;
  return form == Form::kOgg ? Container::kOgg : Container::kWav;
}

// A folder that was begun at a rate which can never be written would refuse any other.
void check_rate(const DetokenizeOptions& options, const DatasetSettings& settings) {
  const std::string name = "--rate " + std::to_string(settings.rate_hz);
  if (!Resampler::supports(settings.sample_rate, settings.rate_hz)) {
    throw UsageError(name + ": is more than 256 times away from " +
                     std::to_string(settings.sample_rate) + " Hz");
  }
  check_sound(name + " --as " + std::string(form_name(options.form)), container(options.form),
              settings.rate_hz, /*channels=*/1);
}

int dry_run(const Workspace& sound, const DatasetSettings& settings, const DatasetFile& dataset,
            const DetokenizeOptions& options) {
  const std::optional<DatasetFile> there = sound.find_same(settings);
  std::uint64_t shards = 0, finished = 0;
  for (std::uint64_t shard = 0; shard < settings.shards(); ++shard) {
    if (!options.share.has(shard)) continue;
    ++shards;
    if ((there && there->counts) || sound.is_finished(shard, settings)) ++finished;
  }
  std::printf(
      "%s, %.1f hours, in %s, as %s at %d Hz, into %s\n"
      "of this call's %s %llu are finished\n",
      counted(settings.rows, "recording").c_str(), dataset.counts->seconds / 3600,
      counted(settings.shards(), "shard").c_str(), std::string(form_name(settings.form)).c_str(),
      settings.rate_hz, printable(sound.out()).c_str(), counted(shards, "shard").c_str(),
      static_cast<unsigned long long>(finished));
  return kExitDone;
}

}  // namespace

int run_detokenize(const DetokenizeOptions& options, const CommonOptions& common) {
  check_sample_format("--as " + std::string(form_name(options.form)), container(options.form),
                      options.sink);
  const Workspace tokens(options.dataset), sound(options.out);
  const DatasetFile dataset = find_finished(tokens);
  if (is_sound(dataset.settings.form)) throw NamedError(options.dataset, "holds sound already");
  if (dataset.counts->done == 0) throw NamedError(options.dataset, "holds no recordings");
  if (dataset.settings.form == Form::kParquet) parquet_writer();  // or there is none to read it
  const Model model = open_model(common, {.use = ModelUse::kDecode});
  check_model(dataset.settings, model.info(), options.dataset);
  const DatasetSettings asked = sound_settings(tokens, dataset, model.info(), options);
  check_rate(options, asked);
  check_places(tokens, options.form);
  if (options.dry_run) return dry_run(sound, asked, dataset, options);
  const auto make_shards = [&](const DatasetSettings& settings) {
    Detokenizing detokenizing(tokens, dataset.settings, sound, settings, model, options, common);
    detokenizing.run();
    return detokenizing.some_failed();
  };
  return make_dataset(sound, asked, options.share.of == 1, common, make_shards);
}

}  // namespace mimi::cli
