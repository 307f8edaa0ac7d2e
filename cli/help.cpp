#include "cli/help.h"

#include <CLI/CLI.hpp>
#include <cstddef>

namespace mimi::cli {
namespace {

constexpr std::size_t kColumn = 26;  // where descriptions begin
constexpr std::size_t kWidth = 92;

// `left` and `text` in two columns, `text` broken between words.
std::string row(const std::string& left, const std::string& text) {
  std::string out = "  " + left;
  std::size_t column = out.size();
  if (column + 2 > kColumn) {
    out += "\n";
    column = 0;
  }
  out += std::string(kColumn - column, ' ');
  column = kColumn;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (column > kColumn && column + 1 + word.size() > kWidth) {
      out += "\n" + std::string(kColumn, ' ');
      column = kColumn;
    } else if (column > kColumn) {
      out += " ";
      ++column;
    }
    out += word;
    column += word.size();
    begin = end + 1;
  }
  return out + "\n";
}

std::string usage(const CLI::App& app) {
  std::string text = "Usage: ";
  if (app.get_parent() == nullptr) return text + app.get_name() + " COMMAND [options]\n";
  text += app.get_parent()->get_name() + " " + app.get_name();
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_positional()) continue;
    const std::string many = option->get_expected_max() > 1 ? "..." : "";
    const std::string name = option->get_name(true) + many;
    text += " " + (option->get_required() ? name : "[" + name + "]");
  }
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_required() || option->get_positional()) continue;
    text += " --" + option->get_lnames().front() + " " + option->get_type_name();
  }
  return text + " [options]\n";
}

std::string options(const CLI::App& app, bool with_help, bool with_model) {
  std::string text;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->nonpositional()) continue;
    if (!with_model && option->get_group() == kModelGroup) continue;
    std::string names;
    for (const std::string& name : option->get_snames()) names += "-" + name + ", ";
    for (const std::string& name : option->get_lnames()) names += "--" + name;
    if (names == "-h, --help" && !with_help) continue;
    const std::string value = option->get_items_expected_max() > 0 ? option->get_type_name() : "";
    text += row(names + (value.empty() ? "" : " " + value), option->get_description());
  }
  return text;
}

}  // namespace

std::string help_text(const CLI::App& app) {
  std::string text = usage(app) + "\n" + app.get_description() + "\n";
  if (!app.get_footer().empty()) text += "\n" + app.get_footer();
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  if (!commands.empty()) text += "\nCommands:\n";
  for (const CLI::App* command : commands) {
    text += row(command->get_name(), command->get_description());
  }
  text += "\nOptions:\n" + options(app, true, true);
  if (app.get_parent() != nullptr) {
    const bool with_model = app.get_group() != kWithoutModel;
    text += "\nOptions of every command:\n" + options(*app.get_parent(), false, with_model);
  }
  return text;
}

}  // namespace mimi::cli
