// What a coordinator has been told of the others: the judge's own notes, from events and actions alone.
#include "tests/sim/judge.h"

namespace hive::sim {

using namespace election;  // NOLINT: the whole file speaks of its messages

namespace {

bool IsGone(Dialled::Outcome outcome) {
  return outcome == Dialled::Outcome::kRefused || outcome == Dialled::Outcome::kUnreachable ||
         outcome == Dialled::Outcome::kNoConnect;
}

}  // namespace

void Judge::Learn(Watched& w, const Event& event) {
  const SimTime now = queue_.now();
  const auto heard = [&](const Header& header) { w.contacts[header.self.ip].heard = now; };
  const auto target = [&](CallId id) {
    const auto found = w.targets.find(id);
    std::string ip = found == w.targets.end() ? std::string() : found->second;
    if (found != w.targets.end()) w.targets.erase(found);
    return ip;
  };
  if (const auto* listed = std::get_if<PeersListed>(&event)) {
    w.listed = listed->listed;
  } else if (const auto* done = std::get_if<RedisDone>(&event)) {
    if (!done->ok && done->error.starts_with("ERR unknown command")) w.refused = done->error;
  } else if (const auto* reported = std::get_if<RedisReported>(&event)) {
    w.keys_read = static_cast<size_t>(reported->status.keys);
  } else if (const auto* request = std::get_if<RequestReceived>(&event)) {
    heard(HeaderOf(request->request));
  } else if (const auto* reply = std::get_if<ReplyReceived>(&event)) {
    target(reply->id);
    heard(HeaderOf(reply->reply));
  } else if (const auto* beat = std::get_if<BeatReceived>(&event)) {
    heard(beat->beat.header);
  } else if (const auto* report = std::get_if<ReportReceived>(&event)) {
    heard(report->report.header);
    w.accepted[report->id] = report->report.header.self.ip;
  } else if (const auto* failed = std::get_if<CallFailed>(&event)) {
    Contact& contact = w.contacts[target(failed->id)];
    if (failed->failure == Failure::kRefused || failed->failure == Failure::kUnreachable)
      contact.coordinator_gone = now;
    if (failed->failure == Failure::kUnreachable) contact.redis_gone = now;
  } else if (const auto* dialled = std::get_if<Dialled>(&event)) {
    Contact& contact = w.contacts[target(dialled->id)];
    if (dialled->outcome == Dialled::Outcome::kAnswered) contact.heard = now;
    // Unanswered alone is silence; after a close it is proof.
    const bool silence = dialled->outcome == Dialled::Outcome::kNoConnect && contact.closed < contact.heard;
    if (IsGone(dialled->outcome) && !silence) contact.coordinator_gone = now;
    if (dialled->outcome == Dialled::Outcome::kUnreachable) contact.redis_gone = now;
  } else if (const auto* probed = std::get_if<RedisProbed>(&event)) {
    Contact& contact = w.contacts[target(probed->id)];
    const bool gone =
        probed->outcome == RedisProbed::Outcome::kRefused || probed->outcome == RedisProbed::Outcome::kEmpty;
    if (gone) contact.redis_gone = now;
  } else if (const auto* lead = std::get_if<LeadAsked>(&event)) {
    w.forced |= lead->force && w.would;
    if (lead->force) partition_.reset();  // neither side need wait for doubt_timeout any more
  } else if (const auto* closed = std::get_if<StreamClosed>(&event)) {
    auto& streams = closed->id % 2 == 0 ? w.follows : w.accepted;
    const auto found = streams.find(closed->id);
    if (found == streams.end()) return;
    w.contacts[found->second].closed = now;
    streams.erase(found);
  }
}

void Judge::Learn(Watched& w, const Action& action) {
  if (const auto* send = std::get_if<SendRequest>(&action)) {
    w.targets[send->id] = send->to.ip;
  } else if (const auto* dial = std::get_if<Dial>(&action)) {
    w.targets[dial->id] = dial->to.ip;
  } else if (const auto* probe = std::get_if<ProbeRedis>(&action)) {
    w.targets[probe->id] = probe->redis.ip;
  } else if (const auto* command = std::get_if<CommandRedis>(&action)) {
    if (command->command.kind == RedisCommand::Kind::kReplicate) w.keys_known = w.keys_read;
  } else if (const auto* open = std::get_if<OpenFollow>(&action)) {
    w.follows[open->id] = open->to.ip;
  } else if (const auto* close = std::get_if<CloseStream>(&action)) {
    (close->id % 2 == 0 ? w.follows : w.accepted).erase(close->id);
  } else if (const auto* note = std::get_if<Note>(&action)) {
    if (note->level >= Note::Level::kWarning) w.warned = true;
  }
}

// Whether what it was told since it last heard that member says that the member, redis and all, is no more.
bool Judge::ProvedGone(const Watched& w, const std::string& ip) const {
  const auto found = w.contacts.find(ip);
  if (found == w.contacts.end()) return false;
  const Contact& contact = found->second;
  return contact.coordinator_gone > contact.heard && contact.redis_gone > contact.heard;
}

}  // namespace hive::sim
