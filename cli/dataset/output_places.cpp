#include "cli/dataset/output_places.h"

#include "cli/dataset/row.h"
#include "core/error.h"

namespace mimi::cli {

void OutputPlaces::add(std::string_view id) {
  const std::string name = file_name_of_id(id);
  for (std::size_t slash = name.find('/'); slash != std::string::npos;
       slash = name.find('/', slash + 1)) {
    const std::string folder = name.substr(0, slash);
    if (folder.ends_with(suffix_) || folder.ends_with(".json") || folder.ends_with(".jsonl")) {
      folders_.insert(folder);
    }
  }
}

void OutputPlaces::check_own() const {
  for (const char* const own : {"dataset.json", "manifest.jsonl", "errors.jsonl"}) {
    if (folders_.contains(own)) {
      throw Error(std::string("an id begins with '") + own + "/', which is a file of the dataset");
    }
  }
}

void OutputPlaces::check(std::string_view id) const {
  const std::string place = file_name_of_id(id) + suffix_;
  if (!folders_.contains(place)) return;
  throw Error("the id '" + std::string(id) + "' gives the file '" + place +
              "', which another id needs as a folder; " + remedy_);
}

}  // namespace mimi::cli
