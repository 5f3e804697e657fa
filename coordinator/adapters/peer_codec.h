// Between messages.h and protobuf. Total: what cannot be sent by an honest member is refused with a reason, never
// passed on to the core: absent identities, malformed addresses, unknown enumerators, negative or absurd numbers, lists
// beyond any hive's size.
//
// Thread rule: pure functions.
#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/election/messages.h"
#include "hive/v1/election.pb.h"

namespace hive::coordinator {

// Entries of a list: far beyond a hive, and little enough that no message reaches a mebibyte.
inline constexpr int kMaxListed = 1000;
// Bytes of a hive's name: a DNS name's.
inline constexpr size_t kMaxHiveName = 253;
// Characters of a version.
inline constexpr size_t kMaxVersion = 64;
// Bytes of a line for people (a refusal's reason, what a handover came to); longer ones are cut.
inline constexpr size_t kMaxReason = 1000;

// Encoding cannot fail.
void Encode(const election::Header& from, v1::Header* to);
void Encode(const election::Identity& from, v1::Identity* to);
void Encode(const election::Claim& from, v1::Claim* to);
void Encode(const election::Dataset& from, v1::Dataset* to);
void Encode(const election::Promotion& from, v1::Promotion* to);
void Encode(const election::Standing& from, v1::Standing* to);
void Encode(const election::Will& from, v1::Will* to);
void Encode(const election::LeaderKey& from, v1::LeaderKey* to);
void Encode(const election::MemberReport& from, v1::MemberReport* to);
void Encode(const election::MemberView& from, v1::MemberView* to);
void Encode(const Endpoint& from, v1::SocketAddress* to);
void Encode(const election::GreetRequest& from, v1::GreetRequest* to);
void Encode(const election::CampaignRequest& from, v1::CampaignRequest* to);
void Encode(const election::PrepareRequest& from, v1::PrepareRequest* to);
void Encode(const election::LeadRequest& from, v1::LeadRequest* to);
void Encode(const election::YieldRequest& from, v1::YieldRequest* to);
void Encode(const election::TakeOverRequest& from, v1::TakeOverRequest* to);
void Encode(const election::HandOverRequest& from, v1::HandOverRequest* to);
void Encode(const election::FollowerReport& from, v1::FollowRequest* to);
void Encode(const election::Beat& from, v1::FollowResponse* to);
v1::Role Encode(election::Role role);
v1::Evidence Encode(election::Evidence evidence);
v1::WriteState Encode(election::WriteState state);

// Of replies: the one that belongs to the RPC, or a Refusal. Another RPC's reply is a bug of the core.
void Encode(const election::Reply& from, v1::GreetResponse* to);
void Encode(const election::Reply& from, v1::CampaignResponse* to);
void Encode(const election::Reply& from, v1::PrepareResponse* to);
void Encode(const election::Reply& from, v1::LeadResponse* to);
void Encode(const election::Reply& from, v1::YieldResponse* to);
void Encode(const election::Reply& from, v1::TakeOverResponse* to);
void Encode(const election::Reply& from, v1::HandOverResponse* to);

// INVALID_ARGUMENT, with one line that names the first field at fault: "claim.leader.ip is no IP address".
absl::StatusOr<election::Header> Decode(const v1::Header& from);
absl::StatusOr<election::GreetRequest> Decode(const v1::GreetRequest& from);
absl::StatusOr<election::CampaignRequest> Decode(const v1::CampaignRequest& from);
absl::StatusOr<election::PrepareRequest> Decode(const v1::PrepareRequest& from);
absl::StatusOr<election::LeadRequest> Decode(const v1::LeadRequest& from);
absl::StatusOr<election::YieldRequest> Decode(const v1::YieldRequest& from);
absl::StatusOr<election::TakeOverRequest> Decode(const v1::TakeOverRequest& from);
absl::StatusOr<election::HandOverRequest> Decode(const v1::HandOverRequest& from);
absl::StatusOr<election::FollowerReport> Decode(const v1::FollowRequest& from);
absl::StatusOr<election::Beat> Decode(const v1::FollowResponse& from);
absl::StatusOr<election::Reply> Decode(const v1::GreetResponse& from);
absl::StatusOr<election::Reply> Decode(const v1::CampaignResponse& from);
absl::StatusOr<election::Reply> Decode(const v1::PrepareResponse& from);
absl::StatusOr<election::Reply> Decode(const v1::LeadResponse& from);
absl::StatusOr<election::Reply> Decode(const v1::YieldResponse& from);
absl::StatusOr<election::Reply> Decode(const v1::TakeOverResponse& from);
absl::StatusOr<election::Reply> Decode(const v1::HandOverResponse& from);

}  // namespace hive::coordinator
