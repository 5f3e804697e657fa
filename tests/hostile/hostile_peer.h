// What a hostile peer knows of its victim, and sound messages that it then spoils.
//
// Thread rule: value types and pure functions.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <vector>

#include "hive/v1/election.pb.h"
#include "hive/v1/hive.pb.h"

namespace hive::hostile {

// Who it pretends to be.
struct Mask {
  v1::Identity identity;
  v1::SocketAddress coordinator;
};

// A call of hive.v1.Election with its request.
struct Forgery {
  std::string method;  // "Greet"
  std::string what;    // for people
  std::unique_ptr<google::protobuf::Message> request;
};

// What a hive's GetState gives away, and every kind of request made of it.
class Forger {
 public:
  Forger(v1::GetStateResponse state, Mask mask) : state_(std::move(state)), mask_(std::move(mask)) {}

  // A claim of the mask's to lead. `term`: absolute.
  v1::Claim Claim(uint64_t term) const;
  v1::Header Header() const;
  // What a leader of ten years says of itself.
  v1::MemberReport Leads(uint64_t term) const;
  v1::FollowRequest Report(uint64_t sequence) const;

  // One of each request that says something: the mask leads, stands, has won.
  std::vector<Forgery> Sound(uint64_t term) const;
  // Plausible lies: higher claims, and all that deposes a leader among honest members.
  std::vector<Forgery> Lies() const;
  // Claims whose terms are near the end of some range, after which there would be no next term.
  std::vector<Forgery> LastTerms() const;
  // Each sound one, with each absurdity.
  std::vector<Forgery> Absurd() const;

  const v1::GetStateResponse& state() const { return state_; }

 private:
  v1::LeaderKey Key(uint64_t term) const;

  v1::GetStateResponse state_;
  Mask mask_;
};

}  // namespace hive::hostile
