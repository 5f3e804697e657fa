// The bounds of an event loop and its clients, and what the user sets of them.
//
// Thread rule: value types; the atomics may be used by any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "common/app/tls_source.h"
#include "common/base/time.h"

namespace hive::proxy {

// What is read from a socket at once, into a buffer that all clients of a loop share. Enough that a pipeline or a value
// of some size takes few system calls, little enough to stay in the CPU's cache.
inline constexpr size_t kReadBytes = 64 * 1024;

// Of a large argument, when at least so much is still to come, what comes is passed on within the kernel, as far as the
// link has room for it.
inline constexpr size_t kSpliceBytes = 64 * 1024;

// A command of this size is not kept but relayed as it comes: it cannot be sent again. Everything below can.
inline constexpr size_t kStreamBytes = 256 * 1024;

// Commands whose facts hang on arguments that have not come are waited for up to this size; beyond it they are writes.
inline constexpr size_t kUncertainBytes = 1024 * 1024;

// Commands of one client that wait for a reply or for a leader; beyond it no more is read from that client, and TCP
// tells it to wait.
inline constexpr size_t kQueuedBytesPerClient = 1024 * 1024;

// A reply being sent to a slow client is read from the server only as fast as the client takes it: so much of it is
// kept here.
inline constexpr size_t kReplyWindow = 1024 * 1024;

// In the kernel, of replies that a client does not take: enough to keep any network busy between two turns of the loop.
inline constexpr int kUnsentBytes = 128 * 1024;

// A reply that is longer does not come over a lane, which could not wait for a client that takes it slowly: it is read
// past, if it was to a read, and asked for again on a connection of the client's own. Twice the work, so only when the
// reply is much larger than what such a client would buffer.
inline constexpr size_t kLargestOnLane = 4 * 1024 * 1024;

// Commands of one client in flight on a lane: so many at first, twice as many after each batch of small replies, as
// many at most, so that nobody's pipeline keeps the others waiting; and never more than are answered with kReplyWindow
// bytes, by the size of the replies so far.
inline constexpr uint32_t kFirstOnLane = 4;
inline constexpr uint32_t kMostOnLane = 128;
// With --write-acks, when replies behind an unconfirmed write are kept.
inline constexpr uint32_t kMostOnLaneWithAcks = 32;

// Lanes that mean the same, at most: another one is opened while all others are busy with a large reply.
inline constexpr size_t kMostLanesAlike = 4;

// A connection of a client's own is kept for so long after it was last needed: who needs one mostly needs it again
// soon.
inline constexpr Duration kOwnLinkLinger = Seconds(1);

// Who has not sent anything for so long is small again. Looked at as often.
inline constexpr Duration kIdleBeforeShed = Seconds(2);
// When so many have become small at once, what they had is given back to the system.
inline constexpr size_t kManyShed = 256;

// A lane that no client has used for so long (twice this at most) is closed.
inline constexpr Duration kLaneLinger = Seconds(10);

// The longest reply that must be there in full before it can be judged (an error, a confirmation of a subscription).
inline constexpr size_t kUnderstoodReplyBytes = 1024 * 1024;

// A client whose queue of replies has reached --client-output-limit, and that has taken none of it for so long, does
// not read at all.
inline constexpr Duration kSlowReaderGrace = Seconds(5);

// A client that has sent its commands and closed its direction (`printf ... | nc`) gets what it asked for within this.
inline constexpr Duration kHalfClosedGrace = Seconds(1);

// After a handover, how long a redis that led before may take to answer what it was sent. Writes that its CLIENT PAUSE
// has caught are answered as soon as the coordinator lifts it, within milliseconds; should that be lost, their clients
// do not wait for the pause to run out (handover_timeout, 5 s), but are closed after this.
inline constexpr Duration kHandoverPatience = Millis(500);

// A link whose redis can be reached no more, though its coordinator can (by another's word), is cut once its host has
// acknowledged nothing for --hold-timeout, but never before this: packets are lost, and sent again, everywhere.
inline constexpr Duration kLeastUnacknowledged = Seconds(2);

// A client that has just connected, or just sent something, is about to send (more): at a proxy's end it is not
// half-closed before its reply, or before it has been quiet for so long.
inline constexpr Duration kQuietBeforeEnd = Millis(50);

// When memory is short, how often it is looked for those who hold much and do not move.
inline constexpr Duration kCrowdedTick = Millis(250);

// How often what waits is looked at: held commands that expire, links to be tried again, slow readers.
inline constexpr Duration kWaitingTick = Millis(50);

// Clients released per turn of the loop when a leader has been found: other clients' events come in between.
inline constexpr size_t kReleasedPerTurn = 256;

// Connections accepted per turn, so that a crowd of new clients does not starve the others.
inline constexpr int kAcceptsPerTurn = 64;

// TLS handshakes with clients: how long one may take; how many there may be in an event loop, and from when on they
// make room for others then. A client far away needs a few tenths of a second.
inline constexpr Duration kHandshakeTimeout = Seconds(5);
inline constexpr size_t kMostHandshakes = 1024;
inline constexpr Duration kHandshakePatience = Seconds(1);

// Of so many descriptors that the process may have, clients get these. The rest is set aside: for what clients that are
// there need towards redis, for finding out whether the leader leads, for the watch. A quarter, within reason.
constexpr int DescriptorsForClients(int limit) { return limit - std::clamp(limit / 4, std::min(limit / 2, 32), 1024); }
// Clients' own links get half of those set aside, too: whoever was let in, can have what it asks for. What is then left
// is for lanes, the probe of the leader, --write-acks and the watch, without which nobody is served.
constexpr int DescriptorsForLinks(int limit) { return limit - (limit - DescriptorsForClients(limit)) / 2; }

// With none left but those that are set aside, or out of memory, no connections are accepted for so long.
inline constexpr Duration kAcceptPause = Millis(100);
// That such things lack is told in the log no oftener than this.
inline constexpr Duration kComplaintInterval = Seconds(10);

// Lanes of a loop that may use what is left: more than there are mostly. Whoever selects one database after the other
// has lanes beyond them, which must do with what there is for links.
inline constexpr size_t kLanesSetAside = 8;

// What the flags say.
struct WorkerOptions {
  Duration hold_timeout = Seconds(10);
  int max_clients = 10000;                     // of the process
  int link_descriptors_below = INT_MAX;        // for clients' own links
  uint64_t hold_memory = 256ull << 20;         // bytes, of this event loop: its share of --hold-memory
  uint64_t client_output_limit = 64ull << 20;  // bytes
  int write_acks = 0;                          // replicas that must confirm a write; 0: none
  Duration write_acks_timeout = Seconds(1);    // that they have for it
  bool allow_admin = false;                    // commands that would break the hive are passed on
  std::shared_ptr<const TlsSource> tls;        // towards clients; null: plaintext
  std::shared_ptr<const TlsSource> redis_tls;  // towards redis; null: plaintext
  std::string redis_user;                      // for the loop's own connections
  std::string redis_password;
};

// What the event loops of a process count together.
struct SharedCounters {
  std::atomic<int> clients = 0;
  std::atomic<uint64_t> accepted = 0;  // since the start
};

}  // namespace hive::proxy
