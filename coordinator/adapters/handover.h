// What one thread does before it hands an object to gRPC happens before gRPC's callbacks see it. ThreadSanitizer cannot
// know, since Debian's gRPC is not instrumented; these two tell it, for one object, and are nothing without it.
//
// Thread rule: any thread.
#pragma once

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

namespace hive::coordinator {

// Right before the call that lets gRPC see `object`.
inline void HandToGrpc([[maybe_unused]] void* object) {
#ifdef __SANITIZE_THREAD__
  __tsan_release(object);
#endif
}

// First thing in the callback that gets it back.
inline void TakeFromGrpc([[maybe_unused]] void* object) {
#ifdef __SANITIZE_THREAD__
  __tsan_acquire(object);
#endif
}

}  // namespace hive::coordinator
