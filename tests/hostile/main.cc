// hive_hostile_peer: sends a live coordinator what no honest member sends. The tests around it look whether anything
// has changed (tests/integration/hostile_peer_test.py); this says only what became of its messages.
//
//   hive_hostile_peer --target=127.0.0.11:7400 --mask=127.0.0.99 --case=absurd
//
// Cases: garbage (bytes that are no message, sound ones cut short or with bits turned over), absurd (one impossible
// value in an otherwise sound message), lies (plausible claims to lead), flood (thousands of members that nobody
// knows), streams (stale, duplicate, reordered and foreign reports), terms (near the end of their range), leader
// (listens at the mask, leads at once, and once followed sends beats that mean nothing: false_leader.h). It prints one
// line of JSON: how many messages were sent, and how they were answered.
#include <google/protobuf/message.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "common/app/flags.h"
#include "common/app/grpc_server.h"
#include "common/app/log.h"
#include "common/app/peer_proof.h"
#include "common/base/random.h"
#include "coordinator/adapters/peer_client.h"
#include "hive/v1/election.grpc.pb.h"
#include "hive/v1/hive.grpc.pb.h"
#include "tests/hostile/false_leader.h"
#include "tests/hostile/hostile_peer.h"

namespace hive::hostile {
namespace {

// Calls that wait for an answer at a time, and for how long.
constexpr int kInFlight = 64;
constexpr std::chrono::milliseconds kPatience{500};
constexpr int kStrangers = 3000;
constexpr int kStreams = 200;
constexpr int kGarbagePerMethod = 300;
constexpr const char* kMethods[] = {"Greet", "Campaign", "Prepare", "Lead", "Yield", "TakeOver", "HandOver", "Follow"};

struct Options {
  Endpoint target;
  std::string mask;         // an IP that is no member's
  std::string mask_member;  // pretend to be this member: its IP
  std::string peer_secret_file;
  int seed = 1;
};

class HostilePeer {
 public:
  HostilePeer(const Options& options, std::shared_ptr<const PeerSecrets> secrets)
      : options_(options),
        secrets_(std::move(secrets)),
        channel_(coordinator::FreshChannel(options.target)),
        generic_(channel_),
        random_(static_cast<uint64_t>(options.seed)) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    const grpc::Status status = v1::Hive::NewStub(channel_)->GetState(&context, {}, &state_);
    if (!status.ok()) {
      std::fprintf(stderr, "hive_hostile_peer: %s\n", status.error_message().c_str());
      std::exit(1);
    }
    mask_.identity.set_ip(options.mask);
    mask_.identity.set_incarnation(random_.Next());
    mask_.coordinator.set_ip(options.mask);
    mask_.coordinator.set_port(options.target.port);
    for (const v1::MemberState& member : state_.members()) {
      if (member.coordinator().ip() != options.mask_member) continue;
      mask_ = {member.identity(), member.coordinator()};
    }
  }

  void Run(const std::string& name) {
    const std::map<std::string, void (HostilePeer::*)()> cases = {
        {"garbage", &HostilePeer::Garbage}, {"absurd", &HostilePeer::Absurd},   {"lies", &HostilePeer::Lies},
        {"flood", &HostilePeer::Flood},     {"streams", &HostilePeer::Streams}, {"terms", &HostilePeer::Terms}};
    if (name == "leader") return Lead();
    (this->*cases.at(name))();
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return in_flight_ == 0; });
    std::string line = "{\"sent\": " + std::to_string(sent_);
    for (const auto& [answer, count] : answers_) line += ", \"" + answer + "\": " + std::to_string(count);
    std::printf("%s}\n", line.c_str());
  }

 private:
  // --------------------------------------------------------------------------------------------------- sending

  struct Call {
    grpc::ClientContext context;
    grpc::ByteBuffer request;
    grpc::ByteBuffer response;
  };

  // Any bytes to any method; waits while too many are in flight.
  void Send(const std::string& method, const std::string& bytes, const v1::Identity& sender) {
    auto call = std::make_shared<Call>();
    call->context.set_deadline(std::chrono::system_clock::now() + kPatience);
    Prove(call->context, method, sender);
    const grpc::Slice slice(bytes);
    call->request = grpc::ByteBuffer(&slice, 1);
    {
      std::unique_lock lock(mutex_);
      idle_.wait(lock, [this] { return in_flight_ < kInFlight; });
      ++in_flight_;
      ++sent_;
    }
    generic_.UnaryCall(&call->context, "/hive.v1.Election/" + method, {}, &call->request, &call->response,
                       [this, call](const grpc::Status& status) {
                         const std::string answer = AnswerOf(status, call->response);
                         const std::lock_guard lock(mutex_);
                         ++answers_[answer];
                         --in_flight_;
                         idle_.notify_all();
                       });
  }
  void Send(const Forgery& forgery) { Send(forgery.method, forgery.request->SerializeAsString(), mask_.identity); }

  // With --peer-secret-file it is a member gone mad, not a stranger.
  void Prove(grpc::ClientContext& context, const std::string& method, const v1::Identity& sender) {
    const CallProof proof(secrets_, method, sender.ip() + "/" + std::to_string(sender.incarnation()), options_.target);
    if (!proof.value().empty()) context.AddMetadata(kProofKey, proof.value());
  }

  // "refused" of an answer that says so: field 2 of every response.
  static std::string AnswerOf(const grpc::Status& status, const grpc::ByteBuffer& response) {
    if (!status.ok()) return "error " + std::to_string(status.error_code());
    grpc::ByteBuffer copy = response;
    v1::LeadResponse any;  // header and refusal are the same in each
    grpc::ProtoBufferReader reader(&copy);
    return any.ParseFromZeroCopyStream(&reader) && !any.refusal().empty() ? "refused" : "answered";
  }

  // ----------------------------------------------------------------------------------------------------- cases

  void Garbage() {
    const Forger forger(state_, mask_);
    for (const char* method : kMethods) {
      for (int i = 0; i < kGarbagePerMethod; ++i) {
        std::string bytes(random_.Next() % 300, '\0');
        for (char& byte : bytes) byte = static_cast<char>(random_.Next());
        Send(method, bytes, mask_.identity);
      }
      Send(method, std::string(2 << 20, 'x'), mask_.identity);  // beyond what is taken in
    }
    for (const Forgery& sound : forger.Sound(state_.term())) {
      const std::string bytes = sound.request->SerializeAsString();
      for (size_t size = 0; size < bytes.size(); size += 3) Send(sound.method, bytes.substr(0, size), mask_.identity);
      for (int i = 0; i < kGarbagePerMethod; ++i) {
        std::string turned = bytes;
        turned[random_.Next() % turned.size()] ^= static_cast<char>(1 << (random_.Next() % 8));
        Send(sound.method, turned, mask_.identity);
      }
    }
  }

  void Absurd() {
    for (const Forgery& forgery : Forger(state_, mask_).Absurd()) Send(forgery);
  }

  void Lies() {
    for (int round = 0; round < 3; ++round) {
      for (const Forgery& forgery : Forger(state_, mask_).Lies()) Send(forgery);
    }
  }

  void Terms() {
    for (const Forgery& forgery : Forger(state_, mask_).LastTerms()) Send(forgery);
  }

  void Lead() {
    constexpr uint64_t kTerm = 50;  // there is room for lower ones
    FalseLeader leader(Forger(state_, mask_), kTerm);
    const auto server = GrpcServer::Start({.listen = {{options_.mask, options_.target.port}}, .services = {&leader}});
    if (!server.ok()) {
      std::fprintf(stderr, "hive_hostile_peer: %s\n", std::string(server.status().message()).c_str());
      std::exit(1);
    }
    std::printf("%s\n", leader.WaitForTheEnd().c_str());
    (*server)->Shutdown(Duration(0));
  }

  // Their addresses are loopback ones at which nobody listens: victims dial them.
  void Flood() {
    for (int i = 0; i < kStrangers; ++i) {
      Mask stranger = mask_;
      stranger.identity.set_ip("127.21." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1));
      stranger.identity.set_incarnation(random_.Next());
      stranger.coordinator.set_ip(stranger.identity.ip());
      const std::vector<Forgery> sound = Forger(state_, stranger).Sound(state_.term() + 1);
      const Forgery& forgery = sound[static_cast<size_t>(i) % sound.size()];
      Send(forgery.method, forgery.request->SerializeAsString(), stranger.identity);
    }
  }

  // One stream: what `write` sends is written, then the stream is left to the other side for a moment, and cut.
  void Stream(const std::vector<v1::FollowRequest>& reports) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    Prove(context, "Follow", mask_.identity);
    const auto stream = v1::Election::NewStub(channel_)->Follow(&context);
    std::thread reader([&stream] {
      v1::FollowResponse beat;
      while (stream->Read(&beat)) continue;
    });
    for (const v1::FollowRequest& report : reports) {
      ++sent_;
      if (!stream->Write(report)) break;
    }
    reader.join();
    const grpc::Status status = stream->Finish();
    ++answers_["stream ended " + std::to_string(status.error_code())];
  }

  void Streams() {
    const Forger forger(state_, mask_);
    std::vector<v1::FollowRequest> stale;
    for (const uint64_t sequence : {9u, 8u, 9u, 9u, 1u, 0u, 7u, 9u}) stale.push_back(forger.Report(sequence));
    Stream(stale);
    std::vector<v1::FollowRequest> endless = {forger.Report(1), forger.Report(UINT64_MAX)};
    endless.back().set_echoed_beat(UINT64_MAX);
    endless.push_back(forger.Report(2));
    Stream(endless);
    std::vector<v1::FollowRequest> another = {forger.Report(1), forger.Report(2)};
    another.back().mutable_header()->mutable_self()->set_incarnation(4711);
    Stream(another);
    std::vector<v1::FollowRequest> of_somebody_else = {forger.Report(1)};
    *of_somebody_else.back().mutable_following() = forger.Claim(state_.term() + 5);
    Stream(of_somebody_else);
    Stream({});
    const std::string sound = forger.Report(1).SerializeAsString();
    for (int i = 0; i < kStreams; ++i) {
      v1::FollowRequest report;
      std::string turned = sound;
      turned[random_.Next() % turned.size()] ^= static_cast<char>(1 << (random_.Next() % 8));
      if (report.ParsePartialFromString(turned)) Stream({report, forger.Report(2)});
    }
  }

  const Options options_;
  const std::shared_ptr<const PeerSecrets> secrets_;
  const std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub generic_;
  Random random_;
  v1::GetStateResponse state_;
  Mask mask_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable idle_;
  int in_flight_ = 0;
  uint64_t sent_ = 0;
  std::map<std::string, uint64_t> answers_;
};

int Main(int argc, char** argv) {
  Options options;
  std::string name;
  FlagSet flags("hive_hostile_peer", "sends a coordinator what no honest member sends");
  flags.Add("target", &options.target, "the victim").Required();
  flags.AddIp("mask", &options.mask, "the IP it says it has").Required();
  flags.Add("mask-member", &options.mask_member, "the IP of a member that it pretends to be");
  flags.Add("peer-secret-file", &options.peer_secret_file, "the members' secret, if it knows it");
  flags.Add("seed", &options.seed, {0, 1 << 30}, "of its random bytes");
  flags.AddChoice("case", &name, {"garbage", "absurd", "lies", "flood", "streams", "terms", "leader"}, "what it sends")
      .Required();
  flags.ParseOrExit(argc, argv);
  const auto secrets = PeerSecretSource::Open(options.peer_secret_file, "");
  if (!secrets.ok()) {
    std::fprintf(stderr, "hive_hostile_peer: %s\n", std::string(secrets.status().message()).c_str());
    return 2;
  }
  HostilePeer(options, (*secrets)->Current()).Run(name);
  return 0;
}

}  // namespace
}  // namespace hive::hostile

int main(int argc, char** argv) { return hive::hostile::Main(argc, argv); }
