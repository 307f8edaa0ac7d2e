#include "cli/dataset/line_reader.h"

#include <algorithm>
#include <utility>

#include "cli/named_error.h"

namespace mimi::cli {
namespace {

constexpr std::size_t kBufferBytes = 1 << 16;

}  // namespace

LineReader::LineReader(const std::string& path) : bytes_(path) {}
LineReader::LineReader(UniqueFd file, const std::string& name) : bytes_(std::move(file), name) {}

bool LineReader::next(std::string& line) {
  line.clear();
  ending_.clear();
  bool has_any = false;
  while (true) {
    if (next_ == buffer_.size()) {
      buffer_.resize(kBufferBytes);
      buffer_.resize(bytes_.read(buffer_));
      next_ = 0;
      if (buffer_.empty()) break;
    }
    has_any = true;
    const auto begin = buffer_.begin() + static_cast<std::ptrdiff_t>(next_);
    const auto end = std::find(begin, buffer_.end(), '\n');
    line.append(begin, end);
    if (line.size() > kMostLineBytes) {
      throw NamedError(name(), "line " + std::to_string(number_ + 1) + " is longer than " +
                                   std::to_string(kMostLineBytes) + " bytes");
    }
    next_ = static_cast<std::size_t>(end - buffer_.begin());
    if (end == buffer_.end()) continue;
    ++next_;
    ending_ = "\n";
    break;
  }
  if (!has_any) return false;
  if (line.ends_with('\r')) {
    line.pop_back();
    ending_.insert(0, "\r");
  }
  if (number_++ == 0 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
  return true;
}

}  // namespace mimi::cli
