// Where rows have files of their own: no file may be where another needs a folder.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace mimi::cli {

class OutputPlaces {
 public:
  // Of files whose names end with `suffix`; `remedy` is what can be done where two do not fit.
  OutputPlaces(std::string_view suffix, std::string_view remedy)
      : suffix_(suffix), remedy_(remedy) {}

  // Every id, before any is checked.
  void add(std::string_view id);
  // Throws mimi::Error, naming nothing, where a file of the dataset is in the way of an id's
  // folder.
  void check_own() const;
  // Whether ids need to be checked at all.
  bool may_be_taken() const { return !folders_.empty(); }
  // Throws mimi::Error, naming nothing, where the id's file is in the way of another id's folder.
  void check(std::string_view id) const;

 private:
  std::string suffix_, remedy_;
  std::set<std::string> folders_;  // that have a name as files of rows, or of the dataset, have
};

}  // namespace mimi::cli
