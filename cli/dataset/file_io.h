// Reading and writing whole pieces of files. Errors are mimi::Error with the file's name and the
// system's reason.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "cli/unique_fd.h"

namespace mimi::cli {

// Throws where nobody can say.
std::filesystem::file_type type_of(const std::string& path);
// A file of a dataset, which a stranger may have made: throws, and waits for nobody, where it is no
// regular one.
UniqueFd open_for_reading(const std::string& path);
void write_all(int fd, std::span<const std::uint8_t> bytes, const std::string& name);
// Throws too when the file ends before.
void read_all_at(int fd, std::int64_t offset, std::span<std::uint8_t> bytes,
                 const std::string& name);
void sync_file(int fd, const std::string& name);
// Makes what was renamed into a folder, or removed from it, durable.
void sync_folder(const std::string& path);
// Throws when another process has locked the file. The lock ends with the process.
void lock_alone(int fd, const std::string& name);
// Creates the file where it is not there. A link in its place is not followed.
UniqueFd lock_new_file(const std::string& path);
// Renames a file and makes that durable, with the folders that its place needs.
void move_into_place(const std::string& part, const std::string& place);
// With all those that it lies in.
void make_folder(const std::string& path);

std::span<const std::uint8_t> bytes_of(std::string_view text);

}  // namespace mimi::cli
