#include "common/app/version.h"

namespace hive {

std::string_view Version() { return HIVE_VERSION; }

}  // namespace hive
