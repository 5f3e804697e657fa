// A child process of a test, killed with the test.
//
// Thread rule: the test's thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace hive::proxy {

class ChildProcess {
 public:
  // Starts `arguments[0]`, found in PATH; its output goes to `log` (a file, appended).
  ChildProcess(const std::vector<std::string>& arguments, const std::string& log);
  ~ChildProcess();  // SIGKILL, and waits
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  void Signal(int signal);
  // Waits for its end, at most `seconds`; its exit status, 128 + signal, or -1: it still runs.
  int Wait(int seconds);
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

}  // namespace hive::proxy
