// What must hold of the scanners of proxy/resp whatever the bytes are: the same boundaries however the bytes are cut,
// with and without releasing what was relayed; no byte read outside of the buffer; and both readers of a reply agree.
//
// The fuzzers, the replay of their corpora and the unit tests all run these same functions. A violation prints what
// differed and aborts, so that a sanitizer or a debugger stops at it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/random.h"
#include "proxy/resp/request_scanner.h"

namespace hive::resp {

// One thing that a scanner said, with what can be seen of it.
struct ScanEvent {
  enum class Kind : uint8_t { kWhole, kEmpty, kIncomplete, kError };
  Kind kind;
  uint64_t end;                        // where it ends in the stream; 0 for kIncomplete and kError
  std::vector<std::string> arguments;  // of a request; of a reply its type byte. Nothing if it was released in part
  std::string error;

  friend bool operator==(const ScanEvent&, const ScanEvent&) = default;
};

// How a stream reaches a scanner.
struct Feeding {
  // Bytes per read: drawn in [1, largest_read] from `random`; with largest_read 1, byte by byte. 0: all at once.
  size_t largest_read = 0;
  // Whether to release at random what is certain of an incomplete request or reply.
  bool releases = false;
  Random random{0};
};

struct ClientRules {
  RequestLimits limits;
  bool authentication_required = false;
};

std::vector<ScanEvent> ScanRequests(std::string_view stream, const ClientRules& rules, Feeding feeding);
std::vector<ScanEvent> ScanReplies(std::string_view stream, Feeding feeding);

std::string Describe(const ScanEvent& event);

// Input of the fuzzers: one byte that seeds the cuts, one byte of options, then the stream.
void CheckRequestScanner(std::string_view input);
void CheckReplyScanner(std::string_view input);

}  // namespace hive::resp
