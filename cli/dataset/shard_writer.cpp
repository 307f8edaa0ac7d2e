#include "cli/dataset/shard_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>

#include "cli/dataset/durable_file.h"
#include "cli/dataset/file_io.h"
#include "cli/dataset/npy.h"
#include "cli/dataset/parquet.h"
#include "cli/dataset/safetensors_header.h"
#include "cli/dataset/tar.h"
#include "cli/named_error.h"
#include "core/byte_order.h"
#include "core/token_file.h"

namespace mimi::cli {
namespace {

void write_levels(DurableFile& file, const RowCodes& codes) {
  codes.each_level([&](std::span<const std::uint16_t> run) { file.write(code_bytes(run)); });
}

// Files of their own for the rows, in a tree of folders.
class TreeWriter : public ShardWriter {
 public:
  TreeWriter(const Workspace& workspace, const DatasetSettings& settings, std::uint64_t shard)
      : workspace_(workspace), settings_(settings), shard_(shard) {}

  void announce(const std::string&, std::uint64_t) override {}

  void add(const DoneRow& row, const RowCodes& codes) override {
    const std::string place = workspace_.path(output_place(settings_.form, row.id, shard_));
    DurableFile file(place, workspace_.unfinished(shard_, "row"));
    if (settings_.form == Form::kNpy) {
      file.write(npy_header({.levels = codes.levels(), .frames = codes.frames()}));
      write_levels(file, codes);
    } else {
      write_tokens(file, row, codes);
    }
    file.commit_without_sync();
    for (std::string folder = place; folder.size() > workspace_.out().size();) {
      folder = std::filesystem::path(folder).parent_path();
      if (!folders_.insert(folder).second) break;
    }
  }

  // One call for the whole file system costs less than one for each of many small files.
  void finish() override {
    const UniqueFd folder(open(workspace_.out().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder || syncfs(folder.get()) != 0) {
      throw NamedError(workspace_.out(), std::string("cannot write: ") + std::strerror(errno));
    }
    for (const std::string& path : folders_) sync_folder(path);
  }

 private:
  void write_tokens(DurableFile& file, const DoneRow& row, const RowCodes& codes) {
    TokenHeader header;
    header.sample_rate_hz = settings_.sample_rate;
    header.frame_samples = settings_.frame_samples;
    header.levels = settings_.levels;
    header.codebook_size = settings_.codebook_size;
    header.source_rate_hz = row.source_rate_hz;
    header.source_samples = row.source_samples;
    header.model_name = settings_.model;
    header.model_fingerprint =
        static_cast<std::uint32_t>(std::stoul(settings_.fingerprint, nullptr, 16));
    header.window = settings_.window;
    header.dtype = token_dtype(parse_dtype(settings_.dtype));
    header.arithmetic = static_cast<std::uint8_t>(settings_.arithmetic);
    const auto sink = [&](std::span<const std::byte> bytes) {
      file.write({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
    };
    TokenWriter tokens(sink, header);
    tokens.begin_segment();
    std::uint64_t padding =
        codes.frames() * static_cast<std::uint64_t>(settings_.frame_samples) - row.samples;
    std::uint64_t frames_left = codes.frames();
    codes.each_frame([&](std::span<const std::uint16_t> run) {
      frames_left -= run.size() / static_cast<std::size_t>(settings_.levels);
      tokens.write(run, frames_left == 0 ? static_cast<int>(padding) : 0);
    });
    tokens.end_segment(row.source_samples);
    tokens.finish();
  }

  const Workspace& workspace_;
  const DatasetSettings& settings_;
  std::uint64_t shard_;
  std::set<std::string> folders_;  // that got new entries
};

// Rows as pairs of members, KEY.npy and KEY.json.
class TarRows {
 public:
  explicit TarRows(DurableFile& file) : file_(file) {}

  void add(const DoneRow& row, const RowCodes& codes) {
    const NpyShape shape = {.levels = codes.levels(), .frames = codes.frames()};
    const std::string key = tar_key_of_id(row.id);
    begin_member(key + ".npy", static_cast<std::int64_t>(npy_bytes(shape)));
    file_.write(npy_header(shape));
    write_levels(file_, codes);
    end_member();
    begin_member(key + ".json", static_cast<std::int64_t>(row.line.size()));
    file_.write(bytes_of(row.line));
    end_member();
  }

  void finish() { file_.write(std::vector<std::uint8_t>(kTarEndBytes)); }

 private:
  void begin_member(const std::string& name, std::int64_t bytes) {
    std::vector<std::uint8_t> header;
    append_tar_header(name, bytes, header);
    file_.write(header);
    padding_ = tar_padding(bytes);
  }

  void end_member() { file_.write(std::vector<std::uint8_t>(padding_)); }

  DurableFile& file_;
  std::size_t padding_ = 0;
};

class WdsWriter : public ShardWriter {
 public:
  WdsWriter(const Workspace& workspace, std::uint64_t shard)
      : file_(workspace.path(output_place(Form::kWds, "", shard)),
              workspace.unfinished(shard, "tar")) {}

  void announce(const std::string&, std::uint64_t) override {}
  void add(const DoneRow& row, const RowCodes& codes) override { rows_.add(row, codes); }

  void finish() override {
    rows_.finish();
    file_.commit();
  }

 private:
  DurableFile file_;
  TarRows rows_{file_};
};

// By way of a tar file that never comes into its place.
class ParquetWriter : public ShardWriter {
 public:
  ParquetWriter(const Workspace& workspace, const DatasetSettings& settings, std::uint64_t shard)
      : place_(workspace.path(output_place(Form::kParquet, "", shard))),
        metadata_(json_text(codes_metadata(settings, shard))),
        tar_part_(workspace.unfinished(shard, "tar")),
        tar_(place_, tar_part_),
        file_(place_, workspace.unfinished(shard, "parquet")) {}

  void announce(const std::string&, std::uint64_t) override {}
  void add(const DoneRow& row, const RowCodes& codes) override { rows_.add(row, codes); }

  void finish() override {
    rows_.finish();
    tar_.flush();
    const UniqueFd tar = open_for_reading(tar_part_);
    tar_to_parquet(tar.get(), metadata_, place_,
                   [this](std::span<const std::uint8_t> bytes) { file_.write(bytes); });
    file_.commit();
  }

 private:
  std::string place_, metadata_, tar_part_;
  DurableFile tar_, file_;
  TarRows rows_{tar_};
};

class SafetensorsWriter : public ShardWriter {
 public:
  SafetensorsWriter(const Workspace& workspace, const DatasetSettings& settings,
                    std::uint64_t shard)
      : file_(workspace.path(output_place(Form::kSafetensors, "", shard)),
              workspace.unfinished(shard, "safetensors")),
        header_(std::in_place, settings, shard) {}

  void announce(const std::string& id, std::uint64_t frames) override {
    header_->add(tensor_name_of_id(id), frames);
  }

  void add(const DoneRow&, const RowCodes& codes) override {
    write_header();
    write_levels(file_, codes);
  }

  void finish() override {
    write_header();
    file_.commit();
  }

 private:
  // Once.
  void write_header() {
    if (!header_) return;
    const std::string text = header_->text();
    std::vector<std::byte> size;
    append_little_endian(std::uint64_t{text.size()}, size);
    file_.write({reinterpret_cast<const std::uint8_t*>(size.data()), size.size()});
    file_.write(bytes_of(text));
    header_.reset();
  }

  DurableFile file_;
  std::optional<SafetensorsHeader> header_;  // none: it is written
};

}  // namespace

std::unique_ptr<ShardWriter> make_shard_writer(const Workspace& workspace,
                                               const DatasetSettings& settings,
                                               std::uint64_t shard) {
  switch (settings.form) {
    case Form::kWds:
      return std::make_unique<WdsWriter>(workspace, shard);
    case Form::kSafetensors:
      return std::make_unique<SafetensorsWriter>(workspace, settings, shard);
    case Form::kParquet:
      return std::make_unique<ParquetWriter>(workspace, settings, shard);
    case Form::kMimi:
    case Form::kNpy:
    case Form::kWav:
    case Form::kFlac:
    case Form::kOgg:
      break;
  }
  return std::make_unique<TreeWriter>(workspace, settings, shard);
}

}  // namespace mimi::cli
