#include "tests/sim/brain.h"

namespace hive::sim {
namespace {

class CoreBrain : public Brain {
 public:
  explicit CoreBrain(const election::Config& config) : core_(config) {}

  election::Actions Step(Instant now, WallMicros wall, const election::Event& event) override {
    return core_.Step(now, wall, event);
  }
  Duration TickInterval() const override { return core_.TickInterval(); }
  election::State state(Instant now) const override { return core_.state(now); }

 private:
  election::Core core_;
};

}  // namespace

std::unique_ptr<Brain> MakeCore(const election::Config& config) { return std::make_unique<CoreBrain>(config); }

}  // namespace hive::sim
