#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "coordinator/adapters/peer_codec.h"

namespace hive::coordinator {
namespace {

// Terms and numbers beyond this come from no honest hive, and one more must never overflow.
constexpr uint64_t kMaxTerm = uint64_t{1} << 62;
constexpr int64_t kMaxOffset = int64_t{1} << 62;
// Wall clocks, microseconds: the year 2255.
constexpr int64_t kMaxWall = int64_t{9'000'000'000} * 1'000'000;
// Spans, nanoseconds: 50 years, so that sums of a few do not overflow.
constexpr int64_t kMaxSpan = int64_t{50} * 366 * 24 * 3600 * 1'000'000'000;
constexpr size_t kMaxReplicationId = 64;

// Reads one message, and remembers the first fault.
class Reader {
 public:
  bool ok() const { return fault_.empty(); }

  // What was read, or the fault.
  template <typename T>
  absl::StatusOr<T> Finish(T value) const {
    if (!ok()) return absl::InvalidArgumentError(fault_);
    return value;
  }

  void Require(bool holds, const char* field, const char* fault) {
    if (!holds && ok()) fault_ = std::string(field) + " " + fault;
  }

  uint64_t Term(uint64_t term, const char* field) {
    Require(term <= kMaxTerm, field, "is absurdly high");
    return term;
  }
  int64_t Count(int64_t count, const char* field) {
    Require(count >= 0 && count <= kMaxOffset, field, "is out of range");
    return count;
  }
  WallMicros Wall(int64_t micros, const char* field) {
    Require(micros >= 0 && micros <= kMaxWall, field, "is no time of our age");
    return micros;
  }
  Duration Span(int64_t nanos, const char* field) {
    Require(nanos >= 0 && nanos <= kMaxSpan, field, "is out of range");
    return Duration(nanos);
  }

  // A wire enumerator as ours, which counts from 0 to `last`.
  template <typename Ours>
  Ours Enum(int wire, Ours last, const char* field) {
    const bool known = wire >= 1 && wire <= static_cast<int>(last) + 1;
    Require(known, field, "is unknown: is that member of another version?");
    return known ? static_cast<Ours>(wire - 1) : Ours{};
  }

  std::string Ip(const std::string& text, const char* field) {
    std::optional<std::string> canonical = CanonicalIp(text);
    Require(canonical.has_value(), field, "is no IP address");
    return std::move(canonical).value_or("");
  }

  Endpoint Address(bool present, const v1::SocketAddress& from, const char* field) {
    Require(present && from.port() >= 1 && from.port() <= 65535, field, "is no address");
    return {Ip(from.ip(), field), static_cast<uint16_t>(from.port())};
  }

  // `required`: an absent or empty identity is a fault, and so is an unknown incarnation.
  election::Identity Identity(bool required, const v1::Identity& from, const char* field) {
    if (!required && from.ip().empty()) return {};
    Require(from.incarnation() != 0 || !required, field, "has no incarnation");
    return {Ip(from.ip(), field), from.incarnation()};
  }

  // Absent, or with term 0: no claim.
  election::Claim Claim(const v1::Claim& from, const char* field) {
    if (from.term() == 0) return {};
    return {.term = Term(from.term(), field),
            .started = Wall(from.started_us(), field),
            .leader = Identity(true, from.leader(), field),
            .coordinator = Address(from.has_coordinator(), from.coordinator(), field),
            .redis = Address(from.has_redis(), from.redis(), field)};
  }
  election::Claim RequiredClaim(const v1::Claim& from, const char* field) {
    Require(from.term() != 0, field, "is missing");
    return Claim(from, field);
  }

  election::Dataset Dataset(const v1::Dataset& from) {
    return {.origin = from.origin(), .age = Span(from.age_ns(), "dataset.age_ns")};
  }

  template <typename List>
  bool FitsList(const List& list, const char* field) {
    Require(list.size() <= kMaxListed, field, "has more than 1000 entries");
    return list.size() <= kMaxListed;
  }

  election::Lineage Lineage(const google::protobuf::RepeatedPtrField<v1::Promotion>& from) {
    election::Lineage lineage;
    if (!FitsList(from, "lineage")) return lineage;
    lineage.reserve(static_cast<size_t>(from.size()));
    for (const v1::Promotion& promotion : from) {
      Require(promotion.replication_id().size() <= kMaxReplicationId, "lineage.replication_id", "is too long");
      lineage.push_back({Term(promotion.term(), "lineage.term"), promotion.replication_id(),
                         Count(promotion.offset(), "lineage.offset"),
                         Term(promotion.handed_over_by(), "lineage.handed_over_by")});
    }
    return lineage;
  }

  election::Standing Standing(const v1::Standing& from) {
    return {.available = from.available(),
            .empty = from.empty(),
            .term = Term(from.term(), "standing.term"),
            .offset = Count(from.offset(), "standing.offset"),
            .keys = Count(from.keys(), "standing.keys")};
  }

  // Who leaves does not want to lead, whatever it says.
  static election::Will Will(const v1::Will& from) {
    return {.leaving = from.leaving(), .reluctant = from.reluctant() || from.leaving()};
  }

  election::WriteState WriteState(int wire, const char* field) {
    return Enum(wire, election::WriteState::kNoLeader, field);
  }

  // A line for people.
  static std::string Line(const std::string& from) { return from.substr(0, kMaxReason); }

  // It is shown on people's terminals.
  std::string Version(const std::string& from, const char* field) {
    const bool printable = std::all_of(from.begin(), from.end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
    Require(printable && from.size() <= kMaxVersion, field, "is no version");
    return from;
  }

  election::Header Header(const v1::Header& from) {
    Require(!from.hive().empty() && from.hive().size() <= kMaxHiveName, "header.hive", "is missing or too long");
    return {.hive = from.hive(),
            .self = Identity(true, from.self(), "header.self"),
            .coordinator = Address(from.has_coordinator(), from.coordinator(), "header.coordinator"),
            .highest_term = Term(from.highest_term(), "header.highest_term"),
            .version = Version(from.version(), "header.version")};
  }

  election::LeaderKey LeaderKey(const v1::LeaderKey& from) {
    election::LeaderKey key{.claim = RequiredClaim(from.claim(), "key.claim"),
                            .dataset = Dataset(from.dataset()),
                            .has_keys = from.has_keys(),
                            .open_for = Span(from.open_for_ns(), "key.open_for_ns"),
                            .followers = {},
                            .offset = Count(from.offset(), "key.offset")};
    if (!FitsList(from.followers(), "key.followers")) return key;
    for (const v1::Identity& follower : from.followers()) {
      key.followers.push_back(Identity(true, follower, "key.followers"));
    }
    return key;
  }

  election::MemberReport Report(const v1::MemberReport& from) {
    election::MemberReport report{.role = Enum(from.role(), election::Role::kFollowing, "report.role"),
                                  .will = Will(from.will()),
                                  .standing = Standing(from.standing()),
                                  .dataset = Dataset(from.dataset()),
                                  .leader = Claim(from.leader(), "report.leader"),
                                  .leader_heard_ago = Span(from.leader_heard_ago_ns(), "report.leader_heard_ago_ns"),
                                  .lineage = Lineage(from.lineage()),
                                  .key = std::nullopt};
    if (from.has_key()) report.key = LeaderKey(from.key());
    return report;
  }

  election::MemberView Member(const v1::MemberView& from) {
    return {.identity = Identity(false, from.identity(), "members.identity"),
            .coordinator = Address(from.has_coordinator(), from.coordinator(), "members.coordinator"),
            .will = Will(from.will()),
            .standing = Standing(from.standing()),
            .link_up = from.link_up(),
            .heard_ago = Span(from.heard_ago_ns(), "members.heard_ago_ns"),
            .version = Version(from.version(), "members.version")};
  }

 private:
  std::string fault_;
};

// A response with a refusal means nothing else. Its header may be missing: the request may have been so malformed that
// the other side's core never saw it.
template <typename Wire>
std::optional<election::Reply> DecodeRefusal(const Wire& from) {
  if (from.refusal().empty()) return std::nullopt;
  election::Refusal refusal{{}, from.refusal().substr(0, kMaxReason)};
  Reader reader;
  election::Header header = reader.Header(from.header());
  if (reader.ok()) refusal.header = std::move(header);
  return refusal;
}

}  // namespace

absl::StatusOr<election::Header> Decode(const v1::Header& from) {
  Reader reader;
  election::Header header = reader.Header(from);
  return reader.Finish(std::move(header));
}

absl::StatusOr<election::GreetRequest> Decode(const v1::GreetRequest& from) {
  Reader reader;
  election::GreetRequest request{reader.Header(from.header()), reader.Report(from.report())};
  return reader.Finish(std::move(request));
}

absl::StatusOr<election::CampaignRequest> Decode(const v1::CampaignRequest& from) {
  Reader reader;
  election::CampaignRequest request{.header = reader.Header(from.header()),
                                    .term = reader.Term(from.term(), "term"),
                                    .started = reader.Wall(from.started_us(), "started_us"),
                                    .standing = reader.Standing(from.standing()),
                                    .evidence = reader.Enum(from.evidence(), election::Evidence::kSilence, "evidence"),
                                    .reluctant = from.reluctant(),
                                    .lost = reader.Identity(false, from.lost(), "lost"),
                                    .lineage = reader.Lineage(from.lineage())};
  reader.Require(request.term != 0, "term", "is missing");
  return reader.Finish(std::move(request));
}

absl::StatusOr<election::PrepareRequest> Decode(const v1::PrepareRequest& from) {
  Reader reader;
  election::PrepareRequest request{.header = reader.Header(from.header()),
                                   .claim = reader.RequiredClaim(from.claim(), "claim"),
                                   .lineage = reader.Lineage(from.lineage())};
  return reader.Finish(std::move(request));
}

absl::StatusOr<election::LeadRequest> Decode(const v1::LeadRequest& from) {
  Reader reader;
  election::LeadRequest request{.header = reader.Header(from.header()),
                                .phase = reader.Enum(from.phase(), election::LeadPhase::kReleased, "phase"),
                                .claim = reader.RequiredClaim(from.claim(), "claim"),
                                .dataset = reader.Dataset(from.dataset()),
                                .lineage = reader.Lineage(from.lineage()),
                                .ceded_to = reader.Identity(false, from.ceded_to(), "ceded_to")};
  return reader.Finish(std::move(request));
}

absl::StatusOr<election::YieldRequest> Decode(const v1::YieldRequest& from) {
  Reader reader;
  election::YieldRequest request{reader.Header(from.header()), reader.LeaderKey(from.key())};
  return reader.Finish(std::move(request));
}

absl::StatusOr<election::TakeOverRequest> Decode(const v1::TakeOverRequest& from) {
  Reader reader;
  election::TakeOverRequest request{.header = reader.Header(from.header()),
                                    .ending = reader.RequiredClaim(from.ending(), "ending"),
                                    .term = reader.Term(from.term(), "term"),
                                    .dataset = reader.Dataset(from.dataset()),
                                    .lineage = reader.Lineage(from.lineage()),
                                    .offset = reader.Count(from.offset(), "offset")};
  reader.Require(request.term > request.ending.term, "term", "is not above that of the ending claim");
  return reader.Finish(std::move(request));
}

absl::StatusOr<election::HandOverRequest> Decode(const v1::HandOverRequest& from) {
  Reader reader;
  election::HandOverRequest request{.header = reader.Header(from.header()), .to = ""};
  if (!from.to_ip().empty()) request.to = reader.Ip(from.to_ip(), "to_ip");
  return reader.Finish(std::move(request));
}

absl::StatusOr<election::FollowerReport> Decode(const v1::FollowRequest& from) {
  Reader reader;
  election::FollowerReport report{.header = reader.Header(from.header()),
                                  .sequence = from.sequence(),
                                  .echoed_beat = from.echoed_beat(),
                                  .following = reader.Claim(from.following(), "following"),
                                  .will = Reader::Will(from.will()),
                                  .standing = reader.Standing(from.standing()),
                                  .link_up = from.link_up(),
                                  .introduces = reader.Claim(from.introduces(), "introduces"),
                                  .wall = reader.Wall(from.wall_us(), "wall_us")};
  return reader.Finish(std::move(report));
}

absl::StatusOr<election::Beat> Decode(const v1::FollowResponse& from) {
  Reader reader;
  election::Beat beat{.header = reader.Header(from.header()),
                      .number = from.number(),
                      .echoed_sequence = from.echoed_sequence(),
                      .held = reader.Span(from.held_ns(), "held_ns"),
                      .state = reader.Enum(from.state(), election::LeaderState::kYielded, "state"),
                      .write_state = reader.WriteState(from.write_state(), "write_state"),
                      .claim = reader.Claim(from.claim(), "claim"),
                      .successor = reader.Claim(from.successor(), "successor"),
                      .dataset = reader.Dataset(from.dataset()),
                      .lineage = reader.Lineage(from.lineage()),
                      .offset = reader.Count(from.offset(), "offset"),
                      .members = {},
                      .wall = reader.Wall(from.wall_us(), "wall_us")};
  reader.Require(beat.state != election::LeaderState::kOpen || beat.write_state != election::WriteState::kNoLeader,
                 "write_state", "says that nobody leads");
  if (reader.FitsList(from.members(), "members")) {
    beat.members.reserve(static_cast<size_t>(from.members_size()));
    for (const v1::MemberView& member : from.members()) beat.members.push_back(reader.Member(member));
  }
  return reader.Finish(std::move(beat));
}

absl::StatusOr<election::Reply> Decode(const v1::GreetResponse& from) {
  if (auto refusal = DecodeRefusal(from)) return *std::move(refusal);
  Reader reader;
  election::GreetReply reply{reader.Header(from.header()), reader.Report(from.report())};
  return reader.Finish(election::Reply(std::move(reply)));
}

absl::StatusOr<election::Reply> Decode(const v1::CampaignResponse& from) {
  if (auto refusal = DecodeRefusal(from)) return *std::move(refusal);
  Reader reader;
  election::CampaignReply reply{.header = reader.Header(from.header()),
                                .verdict = reader.Enum(from.verdict(), election::CampaignVerdict::kLeader, "verdict"),
                                .started = reader.Wall(from.started_us(), "started_us"),
                                .reluctant = from.reluctant(),
                                .standing = reader.Standing(from.standing()),
                                .leader = reader.Claim(from.leader(), "leader"),
                                .heard_ago = reader.Span(from.heard_ago_ns(), "heard_ago_ns")};
  return reader.Finish(election::Reply(std::move(reply)));
}

absl::StatusOr<election::Reply> Decode(const v1::PrepareResponse& from) {
  if (auto refusal = DecodeRefusal(from)) return *std::move(refusal);
  Reader reader;
  election::PrepareReply reply{.header = reader.Header(from.header()),
                               .verdict = reader.Enum(from.verdict(), election::PrepareVerdict::kRefused, "verdict"),
                               .standing = reader.Standing(from.standing()),
                               .holder = reader.Claim(from.holder(), "holder")};
  return reader.Finish(election::Reply(std::move(reply)));
}

absl::StatusOr<election::Reply> Decode(const v1::LeadResponse& from) {
  if (auto refusal = DecodeRefusal(from)) return *std::move(refusal);
  Reader reader;
  election::LeadReply reply{reader.Header(from.header())};
  return reader.Finish(election::Reply(std::move(reply)));
}

absl::StatusOr<election::Reply> Decode(const v1::YieldResponse& from) {
  if (auto refusal = DecodeRefusal(from)) return *std::move(refusal);
  Reader reader;
  election::YieldReply reply{reader.Header(from.header()), from.confirmed(), reader.Claim(from.claim(), "claim")};
  return reader.Finish(election::Reply(std::move(reply)));
}

absl::StatusOr<election::Reply> Decode(const v1::TakeOverResponse& from) {
  if (auto refusal = DecodeRefusal(from)) return *std::move(refusal);
  Reader reader;
  election::TakeOverReply reply{.header = reader.Header(from.header()),
                                .accepted = from.accepted(),
                                .reason = Reader::Line(from.reason()),
                                .claim = reader.Claim(from.claim(), "claim")};
  reader.Require(!reply.accepted || !reply.claim.empty(), "claim", "is missing");
  return reader.Finish(election::Reply(std::move(reply)));
}

absl::StatusOr<election::Reply> Decode(const v1::HandOverResponse& from) {
  if (auto refusal = DecodeRefusal(from)) return *std::move(refusal);
  Reader reader;
  election::HandOverReply reply{.header = reader.Header(from.header()),
                                .done = from.done(),
                                .detail = Reader::Line(from.detail()),
                                .leader = reader.Claim(from.leader(), "leader"),
                                .late = from.late()};
  return reader.Finish(election::Reply(std::move(reply)));
}

}  // namespace hive::coordinator
