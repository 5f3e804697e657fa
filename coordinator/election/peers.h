// The other members, as far as they are known: who might exist (DNS), who does (their own words, the leader's beats),
// and who is proved gone.
//
// Thread rule: the core's thread. References stay valid until the peer is forgotten (ForgetUnlisted).
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator/election/events.h"

namespace hive::election {

// What a ProbeRedis found at a member whose coordinator refuses.
enum class ProbedRedis : uint8_t { kUnknown, kNothing, kHasData };

struct Peer {
  Endpoint coordinator;
  bool listed = false;      // DNS lists it
  bool was_listed = false;  // DNS has listed it

  Identity identity;               // as last met; incarnation 0 = never met
  std::deque<Incarnation> former;  // incarnations that it has replaced: whatever still arrives from them is stale
  std::optional<Instant> heard;    // sending time of what its newest answer answers
  // Sending time of the newest of our messages that it has answered, itself or through its leader's beats: unlike
  // `heard`, never younger than its word is.
  std::optional<Instant> answered;
  bool resigned = false;  // it led, and has resigned: it does not count as missing
  // Its identity is known: it has answered a message of ours at this address, or our leader counts it as a member.
  bool met() const { return identity.incarnation != 0; }
  // Neither DNS nor an answer says that there is such a member: it takes part in nothing.
  bool stranger() const { return !listed && !met(); }

  MemberReport report;   // its newest
  std::string version;   // of its binary; empty = not known
  bool link_up = false;  // its redis replicates our leader (from beats)
  // How far its wall clock is ahead of ours; 0 = about the same, or not known.
  Duration clock_ahead{0};

  // When another incarnation than the known one last spoke at this address, unasked: whoever speaks there is not gone.
  std::optional<Instant> stranger_heard;

  // When it last rejected this member, or did not prove itself to it: another secret, another CA, TLS on one side only.
  // Whoever rejects is alive, and may have the data. Until it answers, or is proved gone.
  std::optional<Instant> rejected;

  // When it last denied a claim that was made in its name.
  std::optional<Instant> denied;

  // Since when it keeps the empties from beginning a new dataset: it is silent, or may hold data but cannot lead.
  std::optional<Instant> blocks_since;

  bool gone = false;  // proved gone; until it is heard again
  ProbedRedis probed = ProbedRedis::kUnknown;

  // A proof of loss under way: three dials, kDialSpacing apart, of which one that is answered ends it.
  struct Proof {
    int begun = 0;
    int failed = 0;
    Instant next;  // when to dial again
  };
  std::optional<Proof> proof;

  std::optional<CallId> greeting;  // outstanding
  Instant next_greeting;
};

class Peers {
 public:
  explicit Peers(Endpoint self) : self_(std::move(self)) {}

  // DNS listed these. Returns true when the set of listed endpoints (self included) is another than before.
  bool OnListed(const std::vector<Endpoint>& listed);

  // The peer at this endpoint, added when new; not to be called for self. At most kMaxPeers are kept: nullptr beyond.
  Peer* Add(const Endpoint& coordinator);
  Peer* Find(const Endpoint& coordinator);
  void Forget(const Endpoint& coordinator) { peers_.erase(coordinator); }

  // Drops whoever is neither listed nor has been heard of lately, or is gone. A list without this member is no witness
  // of that: it may be the one that is cut off.
  void ForgetUnlisted(Instant now, Duration patience);

  bool self_listed() const { return self_listed_; }
  bool answered() const { return answered_; }  // DNS has answered once

  std::map<Endpoint, Peer>& all() { return peers_; }
  const std::map<Endpoint, Peer>& all() const { return peers_; }

 private:
  Endpoint self_;
  std::map<Endpoint, Peer> peers_;
  std::set<Endpoint> listed_;
  bool self_listed_ = false;
  bool answered_ = false;
};

// A hive is a handful of pods; a thousand addresses in DNS is somebody's mistake, and each costs a connection.
inline constexpr size_t kMaxPeers = 256;

}  // namespace hive::election
