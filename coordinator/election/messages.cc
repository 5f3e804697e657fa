#include "coordinator/election/messages.h"

#include <sstream>

namespace hive::election {

const char* Name(Role role) {
  switch (role) {
    case Role::kJoining:
      return "joining";
    case Role::kElecting:
      return "electing";
    case Role::kPromoting:
      return "promoting";
    case Role::kLeading:
      return "leading";
    case Role::kFollowing:
      return "following";
  }
  return "?";
}

const char* Name(Evidence evidence) {
  switch (evidence) {
    case Evidence::kLeaderless:
      return "leaderless";
    case Evidence::kBootstrap:
      return "bootstrap";
    case Evidence::kProof:
      return "proof";
    case Evidence::kSilence:
      return "silence";
  }
  return "?";
}

const char* Name(RefusedFor reason) {
  switch (reason) {
    case RefusedFor::kAnotherHive:
      return "another hive";
    case RefusedFor::kOwnAddress:
      return "own address";
    case RefusedFor::kIncompleteIdentity:
      return "incomplete identity";
    case RefusedFor::kAbsurdTerm:
      return "absurd term";
    case RefusedFor::kStranger:
      return "stranger";
    case RefusedFor::kUnsoundYield:
      return "unsound yield";
    case RefusedFor::kUnconfirmedClaim:
      return "unconfirmed claim";
  }
  return "?";
}

const char* Name(WriteState state) {
  switch (state) {
    case WriteState::kOpen:
      return "open";
    case WriteState::kHold:
      return "hold";
    case WriteState::kFenced:
      return "fenced";
    case WriteState::kNoLeader:
      return "no_leader";
  }
  return "?";
}

const Header& HeaderOf(const Request& request) {
  return std::visit([](const auto& message) -> const Header& { return message.header; }, request);
}

const Header& HeaderOf(const Reply& reply) {
  return std::visit([](const auto& message) -> const Header& { return message.header; }, reply);
}

std::string ToString(const Identity& identity) {
  if (identity.empty()) return "nobody";
  std::ostringstream out;
  out << identity.ip << '#' << std::hex << (identity.incarnation & 0xffff);
  return out.str();
}

std::string ToString(const Claim& claim) {
  if (claim.empty()) return "none";
  return "term " + std::to_string(claim.term) + " of " + ToString(claim.leader);
}

std::string ToString(const Standing& standing) {
  if (!standing.available) return "unavailable";
  if (standing.empty) return "empty";
  return "term " + std::to_string(standing.term) + " offset " + std::to_string(standing.offset) + " keys " +
         std::to_string(standing.keys);
}

}  // namespace hive::election
