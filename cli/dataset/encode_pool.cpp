#include "cli/dataset/encode_pool.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include "cli/bounded_queue.h"
#include "cli/dataset/row_reader.h"
#include "cli/start_thread.h"
#include "core/error.h"

namespace mimi::cli {
namespace {

constexpr std::size_t kQueuedItems = 8;

RowReaderOptions reader_options(const Model& model, const EncodePoolOptions& options) {
  const std::int64_t receptive = receptive_field(model, options.window).encoder_frames;
  return {.source = options.source,
          .rate_hz = model.info().sample_rate,
          .frame_samples = model.info().frame_samples,
          .piece_frames = piece_frames(receptive),
          .receptive_frames = receptive,
          .is_file_per_row = options.is_file_per_row};
}

}  // namespace

class EncodePool::Worker {
 public:
  Worker(const Model& model, EncodePool& pool, const EncodePoolOptions& options)
      : pool_(pool),
        levels_(static_cast<std::size_t>(options.levels)),
        encoder_(model, {.levels = options.levels, .stream = {.window = options.window}}),
        items_(kQueuedItems),
        reader_(pool.schedule_, pool.hashes_, reader_options(model, options),
                [this](StreamItem item) { return items_.push(std::move(item)); }) {}

  // Where one thread cannot be made, the other ends once the schedule has stopped.
  ~Worker() {
    items_.close();
    if (reading_.joinable()) reading_.join();
    if (encoding_.joinable()) encoding_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void start() {
    reading_ = start_thread([this] { stopping_all_on_failure([this] { reader_.run(); }); });
    encoding_ = start_thread([this] { stopping_all_on_failure([this] { run(); }); });
  }

 private:
  template <typename Work>
  void stopping_all_on_failure(Work work) {
    try {
      work();
    } catch (...) {
      pool_.schedule_.stop(std::current_exception());
    }
    items_.close();
  }

  void run() {
    while (std::optional<StreamItem> item = items_.pop()) {
      std::visit([this](auto& kind) { take(kind); }, *item);
    }
  }

  void take(StreamBegin& begin) {
    begin_ = std::move(begin);
    error_.clear();
    codes_.clear();
    if (begin_.first_frame > 0 || !is_fresh_) encoder_.reset(begin_.first_frame);
    is_fresh_ = false;
  }

  void take(const StreamSamples& given) {
    if (!error_.empty()) return;
    try {
      encoder_.push(given.samples, codes_);
    } catch (const Error& error) {
      error_ = error.what();
    }
    if (begin_.frames_early > 0) {
      drop_early_frames();
    } else {
      pool_.samples_ += static_cast<std::int64_t>(given.samples.size());
    }
  }

  void drop_early_frames() {
    const auto frames =
        std::min(begin_.frames_early, static_cast<std::int64_t>(codes_.size() / levels_));
    codes_.erase(codes_.begin(), codes_.begin() + frames * static_cast<std::ptrdiff_t>(levels_));
    begin_.frames_early -= frames;
  }

  void take(const PieceEnd& end) {
    if (!error_.empty()) return;
    if (end.end) {
      encoder_.finish(codes_);
      is_fresh_ = true;
    }
    pool_.schedule_.add(*begin_.task, {.index = begin_.piece++,
                                       .source = begin_.source,
                                       .peak = end.peak,
                                       .end = end.end,
                                       .codes = std::exchange(codes_, {})});
  }

  void take(const TaskEnd& end) {
    if (error_.empty()) error_ = end.error;
    if (!error_.empty()) pool_.schedule_.fail(*end.task, std::exchange(error_, {}));
    pool_.schedule_.end(*end.task);
  }

  EncodePool& pool_;
  std::size_t levels_;
  Encoder encoder_;
  bool is_fresh_ = true;  // nothing was heard since the beginning of a stream
  StreamBegin begin_;
  std::vector<std::uint16_t> codes_;  // [frames x levels] of the piece
  std::string error_;                 // what the encoder said of this task
  BoundedQueue<StreamItem> items_;
  RowReader reader_;
  std::thread reading_;
  std::thread encoding_;
};

EncodePool::EncodePool(const Model& model, Schedule& schedule, const EncodePoolOptions& options)
    : schedule_(schedule) {
  try {
    for (int i = 0; i < options.workers; ++i) {
      workers_.push_back(std::make_unique<Worker>(model, *this, options));
      workers_.back()->start();
    }
  } catch (...) {
    schedule_.stop(std::current_exception());  // or those that work already would go on
    throw;
  }
}

EncodePool::~EncodePool() {
  schedule_.stop(nullptr);
  workers_.clear();
}

}  // namespace mimi::cli
