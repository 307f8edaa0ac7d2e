// Writes token files into the folder given, and beside each NAME.mimi its codes as NAME.codes:
// little-endian uint16 [frames x streams x levels], 65535 where frames were lost. Prints a line
// "NAME streams levels frames" for each.
#include <cstdio>
#include <exception>
#include <fstream>
#include <string>

#include "core/byte_order.h"
#include "tests/token_samples.h"

namespace mimi::test {
namespace {

void write_bytes(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) throw Error("cannot write " + path);
}

void write_sample(const std::string& folder, const std::string& name, const TokenHeader& header,
                  const Bytes& file, const Codes& codes) {
  Bytes code_bytes;
  for (const std::uint16_t code : codes) append_little_endian(code, code_bytes);
  write_bytes(folder + "/" + name + ".mimi", file);
  write_bytes(folder + "/" + name + ".codes", code_bytes);
  std::printf("%s %d %d %zu\n", name.c_str(), header.streams, header.levels,
              codes.size() / header.frame_codes());
}

void write_plain(const std::string& folder, int levels, int streams, int codebook_size,
                 std::size_t frames, int block_frames) {
  TokenHeader header = made_up_header();
  header.levels = levels;
  header.streams = streams;
  header.codebook_size = codebook_size;
  const Codes codes = made_up_codes(frames * header.frame_codes(), codebook_size);
  const std::string name = "l" + std::to_string(levels) + "_s" + std::to_string(streams) + "_c" +
                           std::to_string(codebook_size) + "_f" + std::to_string(frames) + "_b" +
                           std::to_string(block_frames);
  write_sample(folder, name, header, token_file(header, codes, block_frames), codes);
}

void write_all(const std::string& folder) {
  for (const int levels : {1, 3, 8, 32}) {
    for (const int streams : {1, 2, 3}) {
      for (const int block_frames : {1, 7, 125}) {
        write_plain(folder, levels, streams, 2048, 130, block_frames);
      }
    }
  }
  for (const int codebook_size : {2, 3, 1000, 65536}) {
    for (const std::size_t frames : {0U, 1U, 250U}) {
      write_plain(folder, 5, 1, codebook_size, frames, 125);
    }
  }
  TokenHeader header = made_up_header();
  header.levels = 2;
  write_sample(folder, "example", header, example_file(), {1, 2, 3, 2047, 1024, 5});
  header.levels = 3;
  header.streams = 2;
  Codes codes;
  for (const std::size_t frames : {5U, 6U, 0U, 1U}) {
    const Codes part = made_up_codes(6 * frames, 2048);
    codes.insert(codes.end(), part.begin(), part.end());
    if (frames == 0) codes.insert(codes.end(), 6 * 5, 65535);
  }
  write_sample(folder, "segmented", header, segmented_file(), codes);
}

}  // namespace
}  // namespace mimi::test

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_token_samples FOLDER\n");
    return 2;
  }
  try {
    mimi::test::write_all(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "write_token_samples: %s\n", error.what());
    return 1;
  }
  return 0;
}
