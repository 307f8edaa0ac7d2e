#include "core/record_finder.h"

#include <algorithm>
#include <functional>
#include <queue>

#include "core/byte_order.h"
#include "core/crc32c.h"

namespace mimi {
namespace {

bool is_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

// The checksum of a file's first bytes, of ever more of them.
class FrontSum {
 public:
  explicit FrontSum(std::span<const std::byte> file) : file_(file) {}
  std::uint32_t of_first(std::uint64_t bytes) {
    crc_ = crc32c(crc_, file_.subspan(done_, bytes - done_));
    done_ = bytes;
    return crc_;
  }

 private:
  std::span<const std::byte> file_;
  std::uint64_t done_ = 0;
  std::uint32_t crc_ = 0;
};

// Looks for whole records. Forged bytes can begin one at every fourth byte, each 64 KB long: so
// each byte is summed once for all of them, and only those are held that the next 64 KB end.
class RecordFinder {
 public:
  explicit RecordFinder(std::span<const std::byte> file) : file_(file), sum_(file) {}

  // By where they begin; some may lie within others.
  std::vector<WholeRecord> find() {
    const auto sync = std::as_bytes(std::span(kRecordSync));
    for (auto at = file_.begin();; ++at) {
      at = std::search(at, file_.end(), sync.begin(), sync.end());
      if (static_cast<std::size_t>(file_.end() - at) < kRecordPrefixBytes) break;
      const auto begin = static_cast<std::uint64_t>(at - file_.begin());
      end_those_before(begin);
      add(begin);
    }
    end_those_before(file_.size());
    std::ranges::sort(whole_, {}, &WholeRecord::offset);
    return std::move(whole_);
  }

 private:
  struct Candidate {
    std::uint64_t summed_end;  // where its checksum stands
    std::uint64_t begin;
    std::uint32_t front_sum;  // of the bytes before it
    RecordType type;
    bool operator>(const Candidate& other) const { return summed_end > other.summed_end; }
  };

  void add(std::uint64_t begin) {
    LittleEndianParser parser(file_.subspan(begin + kRecordSync.size()));
    const auto type = static_cast<RecordType>(parser.u8());
    const std::uint64_t summed_end = begin + kRecordPrefixBytes + parser.u16();
    if (!is_letter(static_cast<char>(type)) || summed_end + kRecordCrcBytes > file_.size()) return;
    candidates_.push({.summed_end = summed_end,
                      .begin = begin,
                      .front_sum = sum_.of_first(begin),
                      .type = type});
  }

  void end_those_before(std::uint64_t place) {
    for (; !candidates_.empty() && candidates_.top().summed_end <= place; candidates_.pop()) {
      const auto& [summed_end, begin, front_sum, type] = candidates_.top();
      const std::uint64_t summed = summed_end - begin;
      const std::uint32_t stored = LittleEndianParser(file_.subspan(summed_end)).u32();
      if (crc32c_of_end(front_sum, sum_.of_first(summed_end), summed) != stored) continue;
      whole_.push_back(
          {.type = type,
           .offset = begin,
           .payload = file_.subspan(begin + kRecordPrefixBytes, summed - kRecordPrefixBytes)});
    }
  }

  std::span<const std::byte> file_;
  FrontSum sum_;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates_;
  std::vector<WholeRecord> whole_;
};

}  // namespace

std::vector<WholeRecord> find_records(std::span<const std::byte> file) {
  std::vector<WholeRecord> records = RecordFinder(file).find();
  std::uint64_t end_of_last = 0;
  std::erase_if(records, [&](const WholeRecord& record) {
    if (record.offset < end_of_last) return true;  // within a whole record
    end_of_last = record.offset + kRecordPrefixBytes + record.payload.size() + kRecordCrcBytes;
    return false;
  });
  return records;
}

}  // namespace mimi
