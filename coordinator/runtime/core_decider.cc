#include <utility>

#include "coordinator/runtime/runtime.h"

namespace hive::coordinator {
namespace {

class CoreDecider final : public Decider {
 public:
  explicit CoreDecider(election::Config config) : core_(std::move(config)) {}

  election::Actions Step(Instant now, WallMicros wall, const election::Event& event) override {
    return core_.Step(now, wall, event);
  }
  Duration TickInterval() const override { return core_.TickInterval(); }
  election::State state(Instant now) const override { return core_.state(now); }

 private:
  election::Core core_;
};

}  // namespace

std::unique_ptr<Decider> MakeCoreDecider(election::Config config) {
  return std::make_unique<CoreDecider>(std::move(config));
}

}  // namespace hive::coordinator
