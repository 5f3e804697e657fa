// Goal: the limit of open files is raised as far as it goes, and how many are left is known. Method: this process's own
// limit, lowered and put back.
#include "common/net/descriptors.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <vector>

namespace hive {
namespace {

class DescriptorsTest : public testing::Test {
 protected:
  DescriptorsTest() { getrlimit(RLIMIT_NOFILE, &before_); }
  ~DescriptorsTest() override { setrlimit(RLIMIT_NOFILE, &before_); }

  void SetSoftLimit(rlim_t limit) {
    rlimit lower = before_;
    lower.rlim_cur = limit;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &lower), 0);
  }

  rlimit before_{};
};

TEST_F(DescriptorsTest, TheSoftLimitIsRaisedToTheHardOne) {
  SetSoftLimit(64);
  EXPECT_EQ(DescriptorLimit(), 64);
  const int raised = RaiseDescriptorLimit();
  EXPECT_EQ(static_cast<rlim_t>(raised), before_.rlim_max);
  EXPECT_EQ(DescriptorLimit(), raised);
}

TEST_F(DescriptorsTest, TheNextNumberIsTheLowestFree) {
  const Fd first(dup(STDERR_FILENO));
  Fd second(dup(STDERR_FILENO));
  const Fd third(dup(STDERR_FILENO));
  const int number = second.get();
  second.Close();
  EXPECT_EQ(NextDescriptor(first), number);
  EXPECT_EQ(NextDescriptor(first), number) << "asking takes none";
}

TEST_F(DescriptorsTest, NoneIsLeftAtTheLimit) {
  SetSoftLimit(64);
  std::vector<Fd> all;
  do {
    all.emplace_back(dup(STDERR_FILENO));
  } while (all.back().valid());
  EXPECT_EQ(NextDescriptor(all.front()), std::nullopt);
  const int number = all.front().get();
  all.front().Close();
  EXPECT_EQ(NextDescriptor(all[1]), number);
}

}  // namespace
}  // namespace hive
