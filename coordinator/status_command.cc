#include "coordinator/status_command.h"

#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "common/app/flags.h"
#include "coordinator/adapters/peer_client.h"
#include "hive/v1/hive.grpc.pb.h"

namespace hive::coordinator {
namespace {

constexpr std::chrono::seconds kPatience{2};
constexpr std::chrono::seconds kWatchEvery{1};
constexpr char kClearScreen[] = "\x1b[H\x1b[2J";

using Row = std::vector<std::string>;

// Columns padded to their widest cell, two blanks between.
std::string FormatTable(const std::vector<Row>& rows) {
  std::vector<size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

// "ROLE_LEADING" -> "leading".
std::string Word(std::string name, std::string_view prefix) {
  if (name.starts_with(prefix)) name.erase(0, prefix.size());
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return c == '_' ? ' ' : std::tolower(c); });
  return name;
}

std::string Span(uint64_t millis) {
  if (millis >= 1000) millis -= millis % 1000;  // people want seconds
  return ToString(Millis(static_cast<int64_t>(millis)));
}

std::string RedisWord(const v1::GetStateResponse& state, const v1::MemberState& member) {
  const bool self = member.identity().ip() == state.self().ip();
  if (member.identity().incarnation() == 0) return "?";
  if (!member.standing().available()) return self && state.redis().loading() ? "loading" : "down";
  if (member.leads()) return "master";
  if (member.link_up()) return "in sync";
  if (self && state.redis().sync_in_progress()) return "syncing";
  return member.standing().empty() ? "empty" : "not linked";
}

constexpr char kVersionUnknown[] = "unknown";

// Version -> how many members run it, in a hive of several; empty where they are all the same. Those that are gone do
// not count. A coordinator that does not say its own among its members' is older than that field: it knows none.
std::map<std::string, int> DifferentVersions(const v1::GetStateResponse& state) {
  std::map<std::string, int> found;
  for (const v1::MemberState& member : state.members()) {
    if (member.identity().incarnation() == 0 || member.gone()) continue;
    if (member.identity().incarnation() == state.self().incarnation() && member.version().empty()) return {};
    ++found[member.version().empty() ? kVersionUnknown : member.version()];
  }
  if (found.size() < 2) found.clear();
  return found;
}

std::string FormatVersions(const std::map<std::string, int>& versions) {
  std::string text;
  for (const auto& [version, members] : versions) {
    text += (text.empty() ? "versions differ: " : ", ") + version + " (" + std::to_string(members) + ")";
  }
  return text + "\n";
}

// `versions`: with the column of that name.
Row MemberRow(const v1::GetStateResponse& state, const v1::MemberState& member, bool versions) {
  const bool known = member.identity().incarnation() != 0;
  const bool self = known && member.identity().incarnation() == state.self().incarnation();
  std::string notes;
  if (member.will().leaving()) {
    notes += "leaving ";
  } else if (member.will().reluctant()) {
    notes += "reluctant ";
  }
  if (member.gone()) notes += "gone ";
  if (member.rejects()) notes += "another secret or CA ";
  if (!member.listed()) notes += "not listed ";
  if (const int64_t ahead = member.clock_ahead_ms(); ahead != 0) {
    notes += "clock " + Span(static_cast<uint64_t>(std::abs(ahead))) + (ahead > 0 ? " ahead " : " behind ");
  }
  Row row{member.coordinator().ip() + (self ? " *" : ""),
          known ? Word(v1::Role_Name(member.role()), "ROLE_") : "never met",
          RedisWord(state, member),
          known ? std::to_string(member.standing().offset()) : "-",
          member.has_lag_bytes() ? std::to_string(member.lag_bytes()) + " B" : "-",
          known ? std::to_string(member.standing().keys()) : "-",
          self                        ? "-"
          : member.has_heard_ago_ms() ? Span(member.heard_ago_ms()) + " ago"
                                      : "never"};
  if (versions) row.push_back(!known ? "-" : member.version().empty() ? kVersionUnknown : member.version());
  row.push_back(notes);
  return row;
}

// What it prints for JSON: all fields, by their JSON names.
std::string FormatJson(const v1::GetStateResponse& state) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(state, &json, options);
  if (!json.ends_with('\n')) json += '\n';
  return json;
}

// "writes held", as a heading and in a line of its own with the reason.
std::string WritesWord(v1::WriteState state) {
  return state == v1::WRITE_STATE_HOLD ? "held" : Word(v1::WriteState_Name(state), "WRITE_STATE_");
}

std::string FormatDiscarded(const v1::Discarded& discarded) {
  std::string text = "discarded: " + std::to_string(discarded.times()) + " times, " +
                     std::to_string(discarded.bytes()) + " bytes written over " +
                     ToString(Millis(static_cast<int64_t>(discarded.span_ms())));
  if (discarded.foreign_datasets() > 0) {
    text += ", and " + std::to_string(discarded.foreign_datasets()) + " datasets of another origin with " +
            std::to_string(discarded.foreign_keys()) + " keys";
  }
  return text + (discarded.last().empty() ? "" : "; the last: " + discarded.last()) + "\n";
}

// What is not as it should be; nothing in a hive that is well.
std::string FormatTrouble(const v1::GetStateResponse& state) {
  std::string text;
  if (!state.write_reason().empty()) {
    text += "writes are " + WritesWord(state.write_state()) + ": " + state.write_reason() + "\n";
  }
  if (state.in_doubt()) text += "in doubt: it hears too few of the others, and may itself be the one that is cut off\n";
  const std::string& trouble = state.redis().trouble();
  if (!trouble.empty()) text += "its redis cannot be used: " + trouble + "\n";
  if (const uint64_t unlinked = state.redis().unlinked_ms(); unlinked > 0) {
    text += "its redis gets no link to the leader's: for " + Span(unlinked) + ", its own log says why\n";
  }
  for (const v1::RefusedCommand& refused : state.redis().refused_commands()) {
    text += "its redis refuses " + refused.command() + ": " + refused.error() + "\n";
  }
  if (state.discarded().times() > 0) text += FormatDiscarded(state.discarded());
  return text;
}

}  // namespace

const char* ConnectionHint(const std::string& error, bool tls) {
  if (error.find("refused") != std::string::npos || error.find("Deadline") != std::string::npos) return "";
  return tls ? " (does it use TLS, with certificates of the same --tls-ca?)"
             : " (if members use TLS, it wants --tls-cert, --tls-key and --tls-ca)";
}

std::string FormatState(const v1::GetStateResponse& state) {
  const bool has_leader = state.leader().term() != 0;
  std::string text = "hive " + state.hive() + ": ";
  if (has_leader) {
    text += state.leader().leader().ip() + " leads, term " + std::to_string(state.leader().term());
  } else {
    text += "no leader, term " + std::to_string(state.term());
  }
  text += ", writes " + WritesWord(state.write_state()) + "; seen by " + state.self().ip() + ", up " +
          Span(state.uptime_ms()) + "\n";
  if (!state.waiting_for().empty()) text += "waiting for: " + state.waiting_for() + "\n";
  text += FormatTrouble(state);
  if (state.has_last_election()) {
    const v1::LastElection& last = state.last_election();
    text += "last election: " + Word(v1::Evidence_Name(last.evidence()), "EVIDENCE_") + ", won by " +
            (last.winner().ip().empty() ? "nobody" : last.winner().ip()) + " with term " + std::to_string(last.term()) +
            " in " + ToString(Millis(static_cast<int64_t>(last.took_ms()))) + ", " + std::to_string(last.stood_size()) +
            " stood\n";
  }
  const std::map<std::string, int> versions = DifferentVersions(state);
  if (!versions.empty()) text += FormatVersions(versions);
  std::vector<Row> rows{{"MEMBER", "ROLE", "REDIS", "OFFSET", "LAG", "KEYS", "HEARD"}};
  if (!versions.empty()) rows.front().push_back("VERSION");
  for (const v1::MemberState& member : state.members()) rows.push_back(MemberRow(state, member, !versions.empty()));
  return text + "\n" + FormatTable(rows);
}

int PrintStatus(const Endpoint& target, const MemberTls& tls, bool json, bool watch) {
  const std::unique_ptr<v1::Hive::Stub> stub = v1::Hive::NewStub(FreshChannel(target, tls.channel()));
  for (;;) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    context.set_wait_for_ready(watch);  // one that restarts comes back
    v1::GetStateResponse state;
    const grpc::Status status = stub->GetState(&context, {}, &state);
    if (!status.ok()) {
      std::fprintf(stderr, "hive-coordinator: no answer from the coordinator at %s: %s%s\n", ToString(target).c_str(),
                   status.error_message().c_str(), ConnectionHint(status.error_message(), tls.on()));
      if (!watch) return 1;
    } else {
      if (watch && !json) std::fputs(::isatty(STDOUT_FILENO) != 0 ? kClearScreen : "\n", stdout);
      std::fputs((json ? FormatJson(state) : FormatState(state)).c_str(), stdout);
      std::fflush(stdout);
      if (std::ferror(stdout)) return 1;  // a closed pipe
    }
    if (!watch) return 0;
    std::this_thread::sleep_for(kWatchEvery);
  }
}

}  // namespace hive::coordinator
