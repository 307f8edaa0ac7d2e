#include "cli/level_set.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "cli/usage_error.h"

namespace mimi::cli {
namespace {

constexpr int kMostLevels = 1 << 10;  // more than any model has, so that a range stays small

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text), rest_(text) {}

  LevelSet run() {
    const int first = number();
    if (rest_.empty()) {
      if (first == 0) fail("names no level");
      return {.count = first, .levels = {}};
    }
    LevelSet set;
    add_range(set, first);
    while (!rest_.empty()) {
      expect(',');
      add_range(set, number());
    }
    std::sort(set.levels.begin(), set.levels.end());
    if (std::adjacent_find(set.levels.begin(), set.levels.end()) != set.levels.end()) {
      fail("names a level twice");
    }
    return set;
  }

 private:
  void add_range(LevelSet& set, int first) {
    int last = first;
    if (rest_.starts_with('-')) {
      expect('-');
      last = number();
    }
    if (last < first) fail("has a range that runs backwards");
    for (int level = first; level <= last; ++level) set.levels.push_back(level);
  }

  int number() {
    int value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc() || rest_.front() == '-' || value > kMostLevels) {
      fail("is not a count such as 4 or a set such as 0,3-5");
    }
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }

  void expect(char c) {
    if (!rest_.starts_with(c)) fail("is not a count such as 4 or a set such as 0,3-5");
    rest_.remove_prefix(1);
  }

  [[noreturn]] void fail(const std::string& cause) const {
    throw UsageError("--levels: '" + std::string(text_) + "' " + cause);
  }

  std::string_view text_;
  std::string_view rest_;
};

}  // namespace

LevelSet parse_levels(std::string_view text) { return Parser(text).run(); }

}  // namespace mimi::cli
