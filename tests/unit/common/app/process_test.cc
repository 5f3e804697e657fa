// Goal: what main finds out about its surroundings: signals, limits of the container, the password. Method: real
// signals in child processes; folders written as the kernel writes its cgroup files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/app/container_limits.h"
#include "common/app/redis_password.h"
#include "common/app/shutdown.h"
#include "common/net/clock.h"

namespace hive {
namespace {

using testing::HasSubstr;

// A folder of its own, removed with all that is in it.
class Folder {
 public:
  Folder() {
    std::string name = testing::TempDir() + "hive-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  std::string Write(const std::string& file, const std::string& text) const {
    const std::string whole = path_ + "/" + file;
    std::filesystem::create_directories(std::filesystem::path(whole).parent_path());
    std::ofstream(whole) << text;
    return whole;
  }

 private:
  std::string path_;
};

TEST(ShutdownTest, TheFirstSignalIsAnEvent) {
  for (const int signal : {SIGTERM, SIGINT}) {
    const ShutdownSignals signals;
    EXPECT_FALSE(signals.requested());
    EXPECT_FALSE(signals.Wait(Millis(1)));
    raise(signal);
    EXPECT_TRUE(signals.requested());
    EXPECT_TRUE(signals.Wait());
    EXPECT_TRUE(signals.Wait(Duration::zero()));  // it stays so
  }
}

TEST(ShutdownTest, TheSecondSignalEndsTheProcess) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";  // a fresh process: others' threads do not survive a fork
  const auto twice = [] {
    const ShutdownSignals signals;
    raise(SIGTERM);
    signals.Wait();
    raise(SIGINT);
    signals.Wait();  // ThreadSanitizer delivers signals where a thread would sleep
  };
  EXPECT_EXIT(twice(), testing::ExitedWithCode(128 + SIGINT), "");
}

TEST(ShutdownTest, AWriteToAClosedSocketIsAnErrorOnly) {
  const ShutdownSignals signals;
  int pair[2];
  ASSERT_EQ(pipe(pair), 0);
  close(pair[0]);
  EXPECT_EQ(write(pair[1], "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  close(pair[1]);
}

TEST(ContainerLimitsTest, NoFilesNoLimits) {
  const Folder root;
  const ContainerLimits limits = ReadContainerLimits(root.path());
  EXPECT_GE(limits.cpus, 1);
  EXPECT_EQ(limits.memory_bytes, std::nullopt);
}

TEST(ContainerLimitsTest, Version2InAContainerOfItsOwn) {
  const Folder root;
  root.Write("proc/self/cgroup", "0::/\n");
  root.Write("sys/fs/cgroup/cpu.max", "50000 100000\n");
  root.Write("sys/fs/cgroup/memory.max", "536870912\n");
  const ContainerLimits limits = ReadContainerLimits(root.path());
  EXPECT_DOUBLE_EQ(limits.cpus, 0.5);
  EXPECT_EQ(limits.memory_bytes, 536870912U);
  EXPECT_EQ(DefaultThreads(limits), 1);
}

TEST(ContainerLimitsTest, Version2TheTightestParentCounts) {
  const Folder root;
  root.Write("proc/self/cgroup", "0::/pod/redis\n");
  root.Write("sys/fs/cgroup/pod/cpu.max", "25000 100000\n");
  root.Write("sys/fs/cgroup/pod/redis/cpu.max", "max 100000\n");
  root.Write("sys/fs/cgroup/pod/memory.max", "1000\n");
  root.Write("sys/fs/cgroup/pod/redis/memory.max", "max\n");
  const ContainerLimits limits = ReadContainerLimits(root.path());
  EXPECT_DOUBLE_EQ(limits.cpus, 0.25);
  EXPECT_EQ(limits.memory_bytes, 1000U);
}

TEST(ContainerLimitsTest, Version1) {
  const Folder root;
  root.Write("proc/self/cgroup", "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n1:name=systemd:/\n");
  root.Write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "75000\n");
  root.Write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  root.Write("sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "9223372036854771712\n");  // none
  ContainerLimits limits = ReadContainerLimits(root.path());
  EXPECT_DOUBLE_EQ(limits.cpus, 0.75);
  EXPECT_EQ(limits.memory_bytes, std::nullopt);
  root.Write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  EXPECT_GE(ReadContainerLimits(root.path()).cpus, 1);
}

TEST(ContainerLimitsTest, ThreadsAreWholeCpus) {
  EXPECT_EQ(DefaultThreads({.cpus = 0.1}), 1);
  EXPECT_EQ(DefaultThreads({.cpus = 1.9}), 1);
  EXPECT_EQ(DefaultThreads({.cpus = 4}), 4);
  EXPECT_GE(DefaultThreads(ReadContainerLimits()), 1);
}

TEST(RedisPasswordTest, FileThenEnvironmentThenNone) {
  const Folder folder;
  unsetenv("HIVE_REDIS_PASSWORD");
  EXPECT_EQ(*ReadRedisPassword(""), "");
  setenv("HIVE_REDIS_PASSWORD", "from environment", 1);
  EXPECT_EQ(*ReadRedisPassword(""), "from environment");
  EXPECT_EQ(*ReadRedisPassword(folder.Write("password", "from file \n")), "from file ");
  unsetenv("HIVE_REDIS_PASSWORD");
}

TEST(RedisPasswordTest, BadFilesAreNamed) {
  const Folder folder;
  const std::string missing = folder.path() + "/missing";
  EXPECT_EQ(ReadRedisPassword(missing).status().message(), "--redis-password-file=" + missing + ": no such file");
  EXPECT_THAT(std::string(ReadRedisPassword(folder.Write("empty", "\n")).status().message()), HasSubstr("is empty"));
  EXPECT_THAT(std::string(ReadRedisPassword(folder.path()).status().message()), HasSubstr("cannot be read"));
  EXPECT_TRUE(ReadRedisPassword(folder.Write("long", std::string(kMaxPasswordBytes, 'x') + "\n")).ok());
  EXPECT_THAT(std::string(ReadRedisPassword(folder.Write("huge", std::string(9000, 'x'))).status().message()),
              HasSubstr("more than a password"));
}

}  // namespace
}  // namespace hive
