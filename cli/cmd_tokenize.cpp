// mimi tokenize: recordings by the thousand to a dataset of tokens.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

#include "cli/dataset/dataset_progress.h"
#include "cli/dataset/encode_pool.h"
#include "cli/dataset/expected_work.h"
#include "cli/dataset/make_dataset.h"
#include "cli/dataset/merge.h"
#include "cli/dataset/parquet.h"
#include "cli/dataset/plan.h"
#include "cli/dataset/shard_commit.h"
#include "cli/dataset/tokenize.h"
#include "cli/jobs.h"
#include "cli/named_error.h"
#include "core/quote.h"
#include "core/token_file.h"
#include "core/utf8.h"

namespace mimi::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kTick = 100ms;
constexpr auto kSyncInterval = 5s;

DatasetSettings make_settings(const Model& model, const Plan& plan, const std::string& writer,
                              const TokenizeOptions& options) {
  const ModelInfo& info = model.info();
  if (!is_utf8(info.name)) throw Error("model name " + quote(info.name) + " is not UTF-8");
  return {.program = std::string("mimi ") + MIMI_VERSION,
          .form = options.form,
          .shard_size = static_cast<std::uint64_t>(options.shard_size),
          .rows = plan.rows(),
          .inputs_sha256 = plan.sha256(),
          .model = info.name,
          .fingerprint = hex_text(info.fingerprint),
          .sample_rate = info.sample_rate,
          .frame_samples = info.frame_samples,
          .codebook_size = info.codebook_size,
          .levels = encoded_levels(options.levels, model),
          .window = options.window,
          .dtype = std::string(dtype_name(info.dtype)),
          .arithmetic = kFirstArithmetic,
          .channels = options.source.channels,
          .resampler = options.source.resampler,
          .writer = writer};
}

// One call's work on a dataset that is not finished.
class Tokenizing {
 public:
  Tokenizing(const Model& model, const Plan& plan, const Workspace& workspace,
             const DatasetSettings& settings, const TokenizeOptions& options,
             const CommonOptions& common)
      : plan_(plan),
        workspace_(workspace),
        settings_(settings),
        progress_({.verb = "tokenized",
                   .errors = where_failures_are(workspace, options.share),
                   .workers = thread_count(common),
                   .json = options.json_progress,
                   .quiet = common.quiet}),
        schedule_(plan, workspace, settings, {.share = options.share, .strict = options.strict}),
        pool_(model, schedule_,
              {.workers = thread_count(common),
               .levels = settings.levels,
               .window = settings.window,
               .source = options.source,
               .is_file_per_row = is_file_per_row(settings.form)}) {}

  void run() {
    auto next_sync = Clock::now() + kSyncInterval;
    while (!schedule_.is_finished()) {
      if (const auto shard = schedule_.take_finished(kTick)) {
        commit_shard(*shard, plan_, workspace_, settings_);
      }
      progress_.update(figures());
      if (Clock::now() < next_sync) continue;
      schedule_.sync();
      next_sync = Clock::now() + kSyncInterval;
    }
    progress_.finish(figures());
  }

  bool some_failed() const { return figures().some_failed(); }

 private:
  using Clock = std::chrono::steady_clock;

  DatasetFigures figures() const {
    const ScheduleCounts counts = schedule_.counts();
    const double rate = settings_.sample_rate;
    const double audio_s = static_cast<double>(pool_.samples()) / rate;
    DatasetFigures figures = {.rows = counts.rows,
                              .done = counts.settled - counts.failed,
                              .failed = counts.failed,
                              .skipped = counts.skipped,
                              .failed_before = counts.failed_before,
                              .audio_s = audio_s};
    const double expected = counts.expected_left + counts.expected_done;
    if (counts.rows_expected == 0 || expected <= 0) return figures;
    const auto rows_to_do = static_cast<double>(counts.rows - counts.skipped);
    const double all = expected * rows_to_do / static_cast<double>(counts.rows_expected);
    const double scale = counts.expected_done > 0 ? static_cast<double>(counts.samples_done) /
                                                        rate / counts.expected_done
                                                  : 1;
    figures.audio_left_s = std::max(0.0, all * scale - audio_s);
    return figures;
  }

  const Plan& plan_;
  const Workspace& workspace_;
  const DatasetSettings& settings_;
  DatasetProgress progress_;
  Schedule schedule_;
  EncodePool pool_;
};

int dry_run(const Plan& plan, const Workspace& workspace, const DatasetSettings& settings,
            const TokenizeOptions& options) {
  const std::optional<DatasetFile> dataset = workspace.find_same(settings);
  std::uint64_t shards = 0, finished = 0, rows = 0;
  double seconds = 0;
  for (std::uint64_t shard = 0; shard < settings.shards(); ++shard) {
    if (!options.share.has(shard)) continue;
    ++shards;
    if ((dataset && dataset->counts) || workspace.is_finished(shard, settings)) {
      ++finished;
      continue;
    }
    rows += settings.rows_of(shard);
    const std::uint64_t first = settings.first_row(shard);
    for (std::uint64_t row = first; row < first + settings.rows_of(shard); ++row) {
      seconds += expected_seconds(plan.row(row));
    }
  }
  std::printf(
      "%s (%lld other files passed over) in %s, as %s, %d levels, into %s\n"
      "of this call's %s %llu are finished; to do: %s, about %.1f hours\n",
      counted(plan.rows(), "recording").c_str(), static_cast<long long>(plan.counts().passed_over),
      counted(settings.shards(), "shard").c_str(), std::string(form_name(settings.form)).c_str(),
      settings.levels, printable(workspace.out()).c_str(), counted(shards, "shard").c_str(),
      static_cast<unsigned long long>(finished), counted(rows, "recording").c_str(),
      seconds / 3600);
  return kExitDone;
}

}  // namespace

int run_tokenize(const TokenizeOptions& options, const CommonOptions& common) {
  const std::string writer = options.form == Form::kParquet ? parquet_writer() : "";
  const Plan plan(options.inputs,
                  is_file_per_row(options.form) ? "." + std::string(form_name(options.form)) : "");
  const Model model = open_model(common, encoding(ModelUse::kEncode, options.levels));
  const DatasetSettings asked = make_settings(model, plan, writer, options);
  const Workspace workspace(options.out);
  if (options.dry_run) return dry_run(plan, workspace, asked, options);
  const auto make_shards = [&](const DatasetSettings& settings) {
    Tokenizing tokenizing(model, plan, workspace, settings, options, common);
    tokenizing.run();
    return tokenizing.some_failed();
  };
  return make_dataset(workspace, asked, options.share.of == 1, common, make_shards);
}

int run_merge(const MergeOptions& options, const CommonOptions& common) {
  const DatasetCounts counts = merge_dataset(Workspace(options.dataset));
  if (!common.quiet) {
    report(options.dataset + ": " + counted(counts.done, "recording") + ", " +
           std::to_string(counts.failed) + " failed");
  }
  return counts.failed > 0 ? kExitSomeFailed : kExitDone;
}

}  // namespace mimi::cli
