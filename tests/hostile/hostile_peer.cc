#include "tests/hostile/hostile_peer.h"

#include <chrono>
#include <utility>

#include "tests/hostile/spoil.h"

namespace hive::hostile {
namespace {

constexpr uint64_t kRedisPort = 6379;
constexpr int64_t kTenYearsNs = int64_t{10} * 365 * 24 * 3600 * 1'000'000'000;

int64_t WallMicros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

template <typename Request>
Forgery Make(std::string what, Request request) {
  std::string method = Request::descriptor()->name();
  method.resize(method.size() - std::string("Request").size());
  return {std::move(method), std::move(what), std::make_unique<Request>(std::move(request))};
}

}  // namespace

v1::Header Forger::Header() const {
  v1::Header header;
  header.set_hive(state_.hive());
  *header.mutable_self() = mask_.identity;
  *header.mutable_coordinator() = mask_.coordinator;
  header.set_highest_term(state_.term());
  return header;
}

v1::Claim Forger::Claim(uint64_t term) const {
  v1::Claim claim;
  claim.set_term(term);
  claim.set_started_us(WallMicros());
  *claim.mutable_leader() = mask_.identity;
  *claim.mutable_coordinator() = mask_.coordinator;
  claim.mutable_redis()->set_ip(mask_.identity.ip());
  claim.mutable_redis()->set_port(kRedisPort);
  return claim;
}

v1::LeaderKey Forger::Key(uint64_t term) const {
  v1::LeaderKey key;
  *key.mutable_claim() = Claim(term);
  key.mutable_dataset()->set_origin(4711);
  key.mutable_dataset()->set_age_ns(kTenYearsNs);
  key.set_has_keys(true);
  key.set_open_for_ns(kTenYearsNs);
  for (const v1::MemberState& member : state_.members()) {
    if (member.identity().incarnation() != 0) *key.add_followers() = member.identity();
  }
  return key;
}

v1::MemberReport Forger::Leads(uint64_t term) const {
  v1::MemberReport report;
  report.set_role(v1::ROLE_LEADING);
  report.mutable_standing()->set_available(true);
  report.mutable_standing()->set_term(term);
  report.mutable_standing()->set_offset(int64_t{1} << 40);
  report.mutable_standing()->set_keys(1'000'000);
  *report.mutable_dataset() = Key(term).dataset();
  *report.mutable_leader() = Claim(term);
  *report.mutable_lineage() = state_.lineage();
  v1::Promotion* own = report.add_lineage();
  own->set_term(term);
  own->set_replication_id(std::string(40, 'e'));
  *report.mutable_key() = Key(term);
  return report;
}

v1::FollowRequest Forger::Report(uint64_t sequence) const {
  v1::FollowRequest report;
  *report.mutable_header() = Header();
  report.set_sequence(sequence);
  report.set_echoed_beat(sequence);
  *report.mutable_following() = state_.leader();
  report.mutable_standing()->set_available(true);
  report.mutable_standing()->set_offset(1);
  *report.mutable_introduces() = Claim(state_.term() + 1);
  return report;
}

std::vector<Forgery> Forger::Sound(uint64_t term) const {
  std::vector<Forgery> all;
  v1::GreetRequest greet;
  *greet.mutable_header() = Header();
  *greet.mutable_report() = Leads(term);
  all.push_back(Make("leads", greet));

  v1::CampaignRequest campaign;
  *campaign.mutable_header() = Header();
  campaign.set_term(term);
  campaign.set_started_us(1);  // 1970: before everybody
  *campaign.mutable_standing() = Leads(term).standing();
  campaign.set_evidence(v1::EVIDENCE_PROOF);
  *campaign.mutable_lost() = state_.leader().leader();
  *campaign.mutable_lineage() = Leads(term).lineage();
  all.push_back(Make("has lost the leader", campaign));

  v1::PrepareRequest prepare;
  *prepare.mutable_header() = Header();
  *prepare.mutable_claim() = Claim(term);
  *prepare.mutable_lineage() = Leads(term).lineage();
  all.push_back(Make("has won", prepare));

  for (const auto phase : {v1::LEAD_PHASE_PROMOTING, v1::LEAD_PHASE_OPEN, v1::LEAD_PHASE_RELEASED}) {
    v1::LeadRequest lead;
    *lead.mutable_header() = Header();
    lead.set_phase(phase);
    *lead.mutable_claim() = Claim(term);
    *lead.mutable_dataset() = Key(term).dataset();
    *lead.mutable_lineage() = Leads(term).lineage();
    *lead.mutable_ceded_to() = state_.self();
    all.push_back(Make(v1::LeadPhase_Name(phase), lead));
  }

  v1::TakeOverRequest take_over;
  *take_over.mutable_header() = Header();
  *take_over.mutable_dataset() = Key(term).dataset();
  *take_over.mutable_lineage() = Leads(term).lineage();
  for (const v1::Claim& ending : {Claim(term), state_.leader()}) {
    *take_over.mutable_ending() = ending;
    take_over.set_term(ending.term() + 1);
    all.push_back(Make("hands over what is not its own", take_over));
  }

  v1::YieldRequest yield;
  *yield.mutable_header() = Header();
  *yield.mutable_key() = Key(term);
  all.push_back(Make("yields, with the better key", yield));
  yield.mutable_key()->mutable_dataset()->set_age_ns(0);
  yield.mutable_key()->clear_followers();
  yield.mutable_key()->set_has_keys(false);
  all.push_back(Make("yields, with the worse key", yield));
  return all;
}

std::vector<Forgery> Forger::Lies() const {
  std::vector<Forgery> all;
  const uint64_t now = state_.term();
  for (const uint64_t term : {now, now + 1, now + 1000}) {
    for (Forgery& forgery : Sound(term)) all.push_back(std::move(forgery));
  }
  return all;
}

std::vector<Forgery> Forger::LastTerms() const {
  std::vector<Forgery> all;
  for (const int bits : {32, 47, 48, 62, 63}) {
    const uint64_t power = uint64_t{1} << bits;
    for (const uint64_t term : {power - 1, power, power + 1}) {
      for (Forgery& forgery : Sound(term)) all.push_back(std::move(forgery));
    }
  }
  return all;
}

std::vector<Forgery> Forger::Absurd() const {
  std::vector<Forgery> all;
  for (const Forgery& sound : Sound(state_.term())) {
    for (Spoiled& spoiled : EverySpoiling(*sound.request)) {
      all.push_back({sound.method, std::move(spoiled.what), std::move(spoiled.message)});
    }
  }
  return all;
}

}  // namespace hive::hostile
