#include "coordinator/adapters/state_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

#include "common/app/log.h"
#include "common/net/fd.h"
#include "common/net/socket.h"

namespace hive::coordinator {
namespace {

constexpr std::string_view kMagic = "hive-coordinator-state 1";
constexpr std::string_view kEnd = "end";

}  // namespace

std::string FormatMemory(const election::Memory& memory) {
  std::ostringstream text;
  text << kMagic << '\n'
       << "run_id " << memory.run_id << '\n'
       << "has_data " << memory.has_data << '\n'
       << "term " << memory.term << '\n'
       << "dataset " << memory.dataset.origin << ' ' << memory.dataset.age.count() << '\n';
  for (const election::Promotion& promotion : memory.lineage) {
    text << "promotion " << promotion.term << ' ' << promotion.offset << ' ' << promotion.replication_id << '\n';
  }
  text << kEnd << '\n';
  return text.str();
}

std::optional<election::Memory> ParseMemory(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::string line;
  if (!std::getline(in, line) || line != kMagic) return std::nullopt;
  election::Memory memory;
  std::string word;
  while (in >> word) {
    if (word == kEnd) return memory;
    if (word == "run_id") {
      in >> memory.run_id;
    } else if (word == "has_data") {
      in >> memory.has_data;
    } else if (word == "term") {
      in >> memory.term;
    } else if (word == "dataset") {
      int64_t age = 0;
      in >> memory.dataset.origin >> age;
      if (age < 0) return std::nullopt;
      memory.dataset.age = Duration(age);
    } else if (word == "promotion") {
      election::Promotion promotion;
      in >> promotion.term >> promotion.offset >> promotion.replication_id;
      memory.lineage.push_back(std::move(promotion));
    } else {
      return std::nullopt;
    }
    if (!in) return std::nullopt;
  }
  return std::nullopt;
}

StateFile::StateFile(std::string folder) : folder_(std::move(folder)), path_(folder_ + "/" + std::string(kFileName)) {
  if (!folder_.empty()) writer_ = std::thread([this] { WriteForEver(); });
}

StateFile::~StateFile() {
  if (!writer_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  writer_.join();
}

absl::Status StateFile::Check() const {
  if (folder_.empty() || ::access(folder_.c_str(), R_OK | W_OK | X_OK) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError("cannot write to " + folder_ + ": " + ErrnoText(errno) +
                                    ": create that folder, or make it writable");
}

std::optional<election::Memory> StateFile::Load() const {
  if (folder_.empty()) return std::nullopt;
  std::ifstream file(path_, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text(kMaxBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  std::optional<election::Memory> memory = ParseMemory(text);
  if (!memory) LogWarning("state", "what the last run left makes no sense: ignored", {{"file", path_}});
  return memory;
}

void StateFile::Store(election::Memory memory) {
  if (folder_.empty() || stored_ == memory) return;
  stored_ = memory;
  {
    const std::lock_guard lock(mutex_);
    waiting_ = std::move(memory);
  }
  wake_.notify_one();
}

void StateFile::WriteForEver() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return ending_ || waiting_; });
    if (!waiting_) return;
    const election::Memory memory = *std::exchange(waiting_, std::nullopt);
    lock.unlock();
    Write(FormatMemory(memory));
    lock.lock();
  }
}

void StateFile::Write(const std::string& text) {
  const std::string fresh = path_ + ".new";
  int error = 0;
  const Fd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.valid() || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      std::rename(fresh.c_str(), path_.c_str()) != 0) {
    error = errno;
  }
  const bool failed = error != 0;
  if (failed && !failing_) {
    LogWarning("state", "cannot keep what a restarted coordinator would want to know",
               {{"file", path_}, {"error", ErrnoText(error)}});
  }
  failing_ = failed;
}

}  // namespace hive::coordinator
