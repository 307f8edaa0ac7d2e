// Sets what `mimi bench` measures beside what it measured earlier.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace mimi::cli {

// A figure that both reports have.
struct ComparedFigure {
  std::string name;
  std::string unit;
  double before, now;
  double ratio;  // how many times as good as before: below 1 it has become slower or larger
};

// Reads what --json printed. Throws Error, naming `path`, when it is anything else.
nlohmann::ordered_json read_bench_json(const std::string& path);

// Throws Error, naming `path`, when they are of different models or levels.
void require_same_subject(const nlohmann::ordered_json& before, const nlohmann::ordered_json& now,
                          const std::string& path);

// Throws Error, naming `path`, when the reports have no figure in common.
std::vector<ComparedFigure> compare_bench_json(const nlohmann::ordered_json& before,
                                               const nlohmann::ordered_json& now,
                                               const std::string& path);

// The figures whose ratio lies below 1 by more than so many percent.
int count_fallen(const std::vector<ComparedFigure>& figures, double fall_percent);

// What else differs, so that the figures may differ for it: a line each.
std::vector<std::string> other_conditions(const nlohmann::ordered_json& before,
                                          const nlohmann::ordered_json& now);

void print_comparison(const std::vector<ComparedFigure>& figures, double fall_percent);
nlohmann::ordered_json comparison_json(const std::vector<ComparedFigure>& figures);

}  // namespace mimi::cli
