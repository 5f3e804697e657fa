// How long the core waits, how often it asks, and how far it believes: what no flag sets.
//
// Thread rule: constants.
#pragma once

#include <cstddef>

#include "common/base/time.h"
#include "coordinator/election/messages.h"

namespace hive::election {

// Dials of a proof of loss: three, so that one lost packet deposes nobody, this far apart.
inline constexpr int kDialsOfProof = 3;
inline constexpr Duration kDialSpacing = Millis(20);

// How often a leader asks a listed member that does not follow it, and how often a member without a leader asks
// everyone.
inline constexpr Duration kSettleInterval = Seconds(1);
inline constexpr Duration kGreetInterval = Millis(100);

// Between two tries of what was in vain, or two asks of what was not answered: several round trips of a cluster.
inline constexpr Duration kRetryInterval = Millis(100);

// How often the core looks whether something is due while not all is well, at least.
inline constexpr Duration kLook = Millis(25);

// How long a member that stands with data waits for DNS to answer at all: whoever is alone with DNS silent is more
// likely cut off than the last survivor.
inline constexpr Duration kDnsPatience = Seconds(30);

// How long a member that DNS does not list is remembered after it was last heard, at least: whoever may be counted on,
// or against, is (doubt_timeout).
inline constexpr Duration kUnlistedPatience = Seconds(10);

// How often the same complaint is logged while it lasts.
inline constexpr Duration kComplaintInterval = Seconds(30);
// Clocks that differ by more are told of. NTP keeps them within milliseconds; keys that live for seconds only are rare.
inline constexpr Duration kClockTolerance = Seconds(2);

// A redis that has refused REPLICAOF can neither lead nor follow; it is tried again after so long.
inline constexpr Duration kRefusalPatience = Seconds(10);

// People are told of a redis that has gone without a link to its leader's for so long: it dials once per second.
inline constexpr Duration kLinkPatience = Seconds(5);

// Between two tries to make an orphan (the redis of a leader whose coordinator is gone) replicate us.
inline constexpr Duration kOrphanInterval = Millis(200);

// How far ahead a term may be in a message that nobody has asked for. Whoever is further ahead is asked, and then
// believed up to kMaxTermJump: so nobody who cannot answer at a member's address brings the end of the range near.
inline constexpr Term kMaxUnaskedTermJump = 1000;

// Whoever speaks without being known to DNS or met is asked who it is, so many in a second at most: each costs a
// connection. Real members get in by DNS, however many strangers there are.
inline constexpr int kStrangersAsked = 16;
inline constexpr Duration kStrangersInterval = Seconds(1);

// A member that rejects this one is known to be alive for so long after.
inline constexpr Duration kRejectionLasts = Seconds(10);

// The start of a candidacy that goes before all others of the same standing: a person's choice.
inline constexpr WallMicros kFirstOfAll = 1;

// No honest hive gets here: a term beyond is refused, so that terms never wrap.
inline constexpr Term kHighestTerm = Term{1} << 48;
// How far another member's term may be ahead: a leadership every second of a partition of eleven days.
inline constexpr Term kMaxTermJump = 1'000'000;

// How many beats or reports are remembered to date an echo: those of several leader_timeouts.
inline constexpr size_t kEchoesRemembered = 256;

}  // namespace hive::election
