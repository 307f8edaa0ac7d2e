#include "cli/dataset/child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "cli/byte_reader.h"
#include "cli/named_error.h"
#include "cli/temporary_file.h"

namespace mimi::cli {
namespace {

// A process that ends with its owner.
class Child {
 public:
  Child(const std::vector<std::string>& arguments, int input, int output, int complaint) {
    std::vector<char*> texts;
    for (const std::string& text : arguments) texts.push_back(const_cast<char*>(text.c_str()));
    texts.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, complaint, STDERR_FILENO);
    const int failed = posix_spawnp(&pid_, texts[0], &files, nullptr, texts.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    if (failed != 0) throw Error(std::strerror(failed));
  }
  ~Child() {
    if (pid_ < 0) return;
    kill(pid_, SIGKILL);
    wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // As waitpid() has it.
  int wait() {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_ = -1;
};

std::string last_line(UniqueFd file) {
  lseek(file.get(), 0, SEEK_SET);
  ByteReader reader(std::move(file), "its complaint");
  const std::vector<std::uint8_t> bytes = reader.read_all();
  std::string text(bytes.begin(), bytes.end());
  text.erase(text.find_last_not_of('\n') + 1);
  return text.substr(text.rfind('\n') + 1);
}

}  // namespace

void run_program(const std::vector<std::string>& arguments, int input, const TakeOutput& take) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw Error(std::strerror(errno));
  ByteReader output(UniqueFd{ends[0]}, arguments[0]);
  UniqueFd writing_end(ends[1]);
  UniqueFd complaint = open_temporary_file();
  Child child(arguments, input, writing_end.get(), complaint.get());
  writing_end.reset();
  std::vector<std::uint8_t> buffer(1 << 16);
  while (const std::size_t count = output.read(buffer)) take(std::span(buffer).first(count));
  const int status = child.wait();
  if (status == 0) return;
  // Most often by a machine that has too little memory.
  if (WIFSIGNALED(status)) {
    throw ShortageError(arguments[0], "ended by signal " + std::to_string(WTERMSIG(status)));
  }
  const std::string line = last_line(std::move(complaint));
  throw Error(line.empty() ? "exit code " + std::to_string(WEXITSTATUS(status)) : line);
}

}  // namespace mimi::cli
