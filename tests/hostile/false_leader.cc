#include "tests/hostile/false_leader.h"

#include <thread>

namespace hive::hostile {
namespace {

constexpr std::chrono::seconds kPatience{30};
constexpr uint64_t kAbsurdTerm = (uint64_t{1} << 48) + 1;

using Clock = std::chrono::steady_clock;

}  // namespace

grpc::Status FalseLeader::Greet(grpc::ServerContext* /*context*/, const v1::GreetRequest* request,
                                v1::GreetResponse* response) {
  *response->mutable_header() = forger_.Header();
  if (!request->only_identify()) *response->mutable_report() = forger_.Leads(term_);
  return grpc::Status::OK;
}

v1::FollowResponse FalseLeader::GoodBeat(uint64_t number, uint64_t echo) const {
  v1::FollowResponse beat;
  *beat.mutable_header() = forger_.Header();
  beat.set_number(number);
  beat.set_echoed_sequence(echo);
  beat.set_state(v1::LEADER_STATE_OPEN);
  beat.set_write_state(v1::WRITE_STATE_OPEN);
  *beat.mutable_claim() = forger_.Claim(term_);
  const v1::MemberReport report = forger_.Leads(term_);
  *beat.mutable_dataset() = report.dataset();
  *beat.mutable_lineage() = report.lineage();
  return beat;
}

std::vector<v1::FollowResponse> FalseLeader::BadBeats(const v1::FollowResponse& good) const {
  v1::FollowResponse resigned = good;
  resigned.set_state(v1::LEADER_STATE_RESIGNED);
  v1::FollowResponse yielded = good;
  yielded.set_state(v1::LEADER_STATE_YIELDED);
  *yielded.mutable_successor() = forger_.Claim(term_ + 1);
  yielded.mutable_successor()->mutable_leader()->set_incarnation(4711);

  std::vector<v1::FollowResponse> bad;
  for (const v1::FollowResponse& last : {resigned, yielded}) {
    bad.push_back(last);  // a duplicate
    bad.push_back(last);
    bad.back().set_number(good.number() - 1);
    bad.push_back(last);
    bad.back().set_number(0);
    // The rest are newer than any.
    const auto newer = [&]() -> v1::FollowResponse& {
      bad.push_back(last);
      bad.back().set_number(uint64_t{1} << 40);
      return bad.back();
    };
    newer().mutable_claim()->set_term(term_ - 1);
    newer().mutable_claim()->set_term(kAbsurdTerm);
    newer().mutable_claim()->mutable_leader()->set_incarnation(4711);
    newer().mutable_header()->mutable_self()->set_incarnation(4711);
    newer().mutable_header()->set_hive("another-hive");
    *newer().mutable_header()->mutable_self() = forger_.state().self();
    newer().mutable_header()->set_highest_term(kAbsurdTerm);
  }
  return bad;
}

grpc::Status FalseLeader::Follow(grpc::ServerContext* context,
                                 grpc::ServerReaderWriter<v1::FollowResponse, v1::FollowRequest>* stream) {
  const bool first = ++streams_ == 1;
  std::atomic<uint64_t> newest = 0;
  std::thread reader([&] {
    v1::FollowRequest report;
    while (stream->Read(&report)) newest = report.sequence();
  });
  const Clock::time_point began = Clock::now();
  uint64_t number = 0;
  uint64_t good = 0;
  uint64_t bad = 0;
  uint64_t old_echo = 0;
  size_t turn = 0;
  bool open = true;
  while (open && Clock::now() - began < kMixed + kStale) {
    const bool mixed = Clock::now() - began < kMixed;
    if (mixed) old_echo = newest;
    const v1::FollowResponse beat = GoodBeat(++number, mixed ? newest.load() : old_echo);
    open = stream->Write(beat);
    ++good;
    // Not before the follower has confirmed that it hears us: until then it may still think of another.
    if (open && mixed && number > 10) {
      const std::vector<v1::FollowResponse> all = BadBeats(beat);
      open = stream->Write(all[turn++ % all.size()]);
      ++bad;
    }
    std::this_thread::sleep_for(kBeat);
  }
  const auto stale = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began - kMixed).count();
  context->TryCancel();  // else the reader would wait for a follower that stays
  reader.join();
  if (first && !open) {
    const std::lock_guard lock(mutex_);
    done_ = true;
    good_ = good;
    bad_ = bad;
    left_after_ms_ = stale < 0 ? -1 : stale;
    over_.notify_all();
  }
  return grpc::Status::OK;
}

std::string FalseLeader::WaitForTheEnd() {
  std::unique_lock lock(mutex_);
  if (!over_.wait_for(lock, kPatience, [this] { return done_; })) return "{\"left\": false}";
  return "{\"left\": true, \"streams\": " + std::to_string(streams_) + ", \"good\": " + std::to_string(good_) +
         ", \"bad\": " + std::to_string(bad_) + ", \"left_after_ms\": " + std::to_string(left_after_ms_) + "}";
}

}  // namespace hive::hostile
