#include "coordinator/election/peers.h"

namespace hive::election {

bool Peers::OnListed(const std::vector<Endpoint>& listed) {
  const std::set<Endpoint> set(listed.begin(), listed.end());
  const bool changed = !answered_ || set != listed_;
  answered_ = true;
  listed_ = set;
  self_listed_ = set.contains(self_);
  for (auto& [endpoint, peer] : peers_) peer.listed = set.contains(endpoint);
  for (const Endpoint& endpoint : set) {
    if (endpoint == self_) continue;
    if (Peer* peer = Add(endpoint)) peer->listed = peer->was_listed = true;
  }
  return changed;
}

Peer* Peers::Add(const Endpoint& coordinator) {
  if (Peer* known = Find(coordinator)) return known;
  if (peers_.size() >= kMaxPeers || coordinator == self_ || coordinator.empty()) return nullptr;
  Peer& peer = peers_[coordinator];
  peer.coordinator = coordinator;
  peer.identity.ip = coordinator.ip;
  return &peer;
}

Peer* Peers::Find(const Endpoint& coordinator) {
  const auto it = peers_.find(coordinator);
  return it == peers_.end() ? nullptr : &it->second;
}

void Peers::ForgetUnlisted(Instant now, Duration patience) {
  std::erase_if(peers_, [&](const auto& entry) {
    const Peer& peer = entry.second;
    const bool gone = peer.gone && self_listed_;
    return !peer.listed && (gone || !peer.heard || now - *peer.heard > patience);
  });
}

}  // namespace hive::election
