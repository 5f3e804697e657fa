#include "common/net/dns_question.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "common/base/endpoint.h"

namespace hive {
namespace {

// Records of one type that an answer may have: more members than any hive has, bounded because c-ares wants an array.
constexpr int kMaxRecords = 512;

// Each server is asked twice, the second time twice as patiently: 0.3 + 0.6 of the whole time.
constexpr int kTries = 2;
constexpr int64_t kFirstTryPercent = 30;

constexpr int kClassInternet = 1;
constexpr int kTypeA = 1;
constexpr int kTypeAaaa = 28;

// The reply has been given, by a server that knows: there is nothing of this type.
bool SaysNothingThere(int status) { return status == ARES_ENODATA || status == ARES_ENOTFOUND; }

std::string Why(int status, bool single_server) {
  switch (status) {
    case ARES_ETIMEOUT:
      return "no reply in time";
    case ARES_ESERVFAIL:
      return "the server failed (SERVFAIL)";
    case ARES_EREFUSED:
      return "the server refused (REFUSED)";
    case ARES_ECONNREFUSED:  // with several servers c-ares says this of a SERVFAIL, too
      return single_server ? "nothing answers there" : "each server is unreachable, failed or refused";
    default:
      return ares_strerror(status);
  }
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

DnsQuestion::DnsQuestion(std::string name, const ResolverOptions& options, Instant deadline, Resolver::Callback done)
    : name_(std::move(name)), deadline_(deadline), done_(std::move(done)) {
  a_ = {this, AF_INET, std::nullopt};
  aaaa_ = {this, AF_INET6, std::nullopt};
  if (const std::optional<std::string> ip = CanonicalIp(name_)) {
    answer_.addresses = {*ip};
    Answer(DnsAnswer::Outcome::kAddresses, name_ + " is an address itself");
    return;
  }
  if (!Open(options)) return;
  PlanCandidates();
  AskNext();
}

DnsQuestion::~DnsQuestion() {
  closing_ = true;  // ares_destroy ends what is open by calling OnReply
  if (channel_ != nullptr) ares_destroy(channel_);
}

bool DnsQuestion::Open(const ResolverOptions& options) {
  ares_options settings{};
  settings.timeout = static_cast<int>(std::max<int64_t>(1, ToMillis(options.timeout) * kFirstTryPercent / 100));
  settings.tries = kTries;
  int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
  if (options.server) {
    // A single server's SERVFAIL and REFUSED are reported as they are; with several, c-ares asks the next instead.
    settings.flags = ARES_FLAG_NOCHECKRESP;
    mask |= ARES_OPT_FLAGS;
  }
  single_server_ = options.server.has_value();
  server_ = single_server_ ? "DNS server " + ToString(*options.server) : "DNS (/etc/resolv.conf)";
  int status = ares_init_options(&channel_, &settings, mask);
  if (status != ARES_SUCCESS) channel_ = nullptr;
  if (status == ARES_SUCCESS && options.server) {
    status = ares_set_servers_ports_csv(channel_, ToString(*options.server).c_str());
  }
  if (status == ARES_SUCCESS) return true;
  Answer(DnsAnswer::Outcome::kNoAnswer, "cannot ask DNS for " + name_ + ": " + ares_strerror(status));
  return false;
}

void DnsQuestion::PlanCandidates() {
  // As resolv.conf(5) says of `search` and `ndots`: a name with few dots is first tried in each domain, one with
  // enough dots first as it is; a final dot means that the name is complete.
  candidates_.push_back(name_);
  if (name_.ends_with('.')) return;
  ares_options settings{};
  int mask = 0;
  if (ares_save_options(channel_, &settings, &mask) != ARES_SUCCESS) return;
  std::vector<std::string> searched;
  for (int i = 0; i < settings.ndomains; ++i) searched.push_back(name_ + "." + settings.domains[i]);
  const bool as_is_first = std::count(name_.begin(), name_.end(), '.') >= settings.ndots;
  ares_destroy_options(&settings);
  candidates_.insert(as_is_first ? candidates_.end() : candidates_.begin(), searched.begin(), searched.end());
  std::reverse(candidates_.begin(), candidates_.end());
}

void DnsQuestion::AskNext() {
  const std::string candidate = std::move(candidates_.back());
  candidates_.pop_back();
  a_.status = aaaa_.status = std::nullopt;
  open_ = 2;  // before asking: c-ares may reply from within the call
  ares_query(channel_, candidate.c_str(), kClassInternet, kTypeA, &OnReply, &a_);
  ares_query(channel_, candidate.c_str(), kClassInternet, kTypeAaaa, &OnReply, &aaaa_);
}

void DnsQuestion::OnReply(void* records, int status, int /*timeouts*/, unsigned char* reply, int length) {
  auto* which = static_cast<Records*>(records);
  DnsQuestion* self = which->question;
  if (self->closing_ || self->answered_) return;
  which->status = status == ARES_SUCCESS ? self->Take(which->family, reply, length) : status;
  if (--self->open_ == 0) self->Conclude();
}

int DnsQuestion::Take(int family, const unsigned char* reply, int length) {
  std::vector<std::pair<std::string, int>> found;  // address, TTL in seconds
  char text[INET6_ADDRSTRLEN];
  int count = kMaxRecords;
  int status = ARES_SUCCESS;
  if (family == AF_INET) {
    std::vector<ares_addrttl> records(kMaxRecords);
    status = ares_parse_a_reply(reply, length, nullptr, records.data(), &count);
    for (int i = 0; status == ARES_SUCCESS && i < count; ++i) {
      found.emplace_back(inet_ntop(AF_INET, &records[i].ipaddr, text, sizeof text), records[i].ttl);
    }
  } else {
    std::vector<ares_addr6ttl> records(kMaxRecords);
    status = ares_parse_aaaa_reply(reply, length, nullptr, records.data(), &count);
    for (int i = 0; status == ARES_SUCCESS && i < count; ++i) {
      found.emplace_back(inet_ntop(AF_INET6, &records[i].ip6addr, text, sizeof text), records[i].ttl);
    }
  }
  if (status == ARES_SUCCESS && found.empty()) return ARES_ENODATA;
  for (const auto& [address, ttl] : found) {
    const Duration life = Seconds(std::max(ttl, 0));
    answer_.min_ttl = answer_.addresses.empty() ? life : std::min(answer_.min_ttl, life);
    answer_.addresses.push_back(address);
  }
  return status;
}

void DnsQuestion::Conclude() {
  const auto failed = [](const Records& r) { return r.status != ARES_SUCCESS && !SaysNothingThere(r.status.value()); };
  const Records* const failure = failed(a_) ? &a_ : failed(aaaa_) ? &aaaa_ : nullptr;
  if (!answer_.addresses.empty()) {
    std::vector<std::string>& addresses = answer_.addresses;
    std::sort(addresses.begin(), addresses.end());
    addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
    answer_.complete = failure == nullptr;
    Answer(DnsAnswer::Outcome::kAddresses, "DNS lists " + Joined(addresses) + " for " + name_);
  } else if (failure != nullptr) {
    // Not on to the next candidate: its "no such name" would hide that this one may well exist.
    Answer(DnsAnswer::Outcome::kNoAnswer,
           server_ + " gave no answer for " + name_ + ": " + Why(*failure->status, single_server_));
  } else if (!candidates_.empty()) {
    AskNext();
  } else {
    Answer(DnsAnswer::Outcome::kNoSuchName, server_ + " knows no address of " + name_);
  }
}

void DnsQuestion::Answer(DnsAnswer::Outcome outcome, std::string text) {
  answered_ = true;
  answer_.outcome = outcome;
  answer_.text = std::move(text);
  if (outcome != DnsAnswer::Outcome::kAddresses) answer_.addresses.clear();
}

void DnsQuestion::AddSockets(std::vector<pollfd>& sockets) const {
  if (channel_ == nullptr) return;
  ares_socket_t fds[ARES_GETSOCK_MAXNUM];
  const int bits = ares_getsock(channel_, fds, ARES_GETSOCK_MAXNUM);
  for (int i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
    short events = 0;
    if (ARES_GETSOCK_READABLE(bits, i)) events |= POLLIN;
    if (ARES_GETSOCK_WRITABLE(bits, i)) events |= POLLOUT;
    if (events != 0) sockets.push_back({fds[i], events, 0});
  }
}

Instant DnsQuestion::NextTimeout(Instant now) const {
  timeval left;
  if (channel_ == nullptr || ares_timeout(channel_, nullptr, &left) == nullptr) return deadline_;
  return std::min(deadline_, now + std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec));
}

void DnsQuestion::Process(const std::vector<pollfd>& sockets) {
  if (channel_ == nullptr || answered_) return;
  std::vector<pollfd> mine;
  AddSockets(mine);
  for (const pollfd& own : mine) {
    const auto ready = std::find_if(sockets.begin(), sockets.end(), [&](const pollfd& s) { return s.fd == own.fd; });
    if (ready == sockets.end() || ready->revents == 0) continue;
    const bool readable = (ready->revents & (POLLIN | POLLERR | POLLHUP)) != 0;
    const bool writable = (ready->revents & (POLLOUT | POLLERR | POLLHUP)) != 0;
    ares_process_fd(channel_, readable ? own.fd : ARES_SOCKET_BAD, writable ? own.fd : ARES_SOCKET_BAD);
  }
  ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // time-outs
}

void DnsQuestion::TimeOut() {
  if (answered_) return;
  // One of the two may have come: half an answer is better than none, and says that it is half.
  for (Records* records : {&a_, &aaaa_}) {
    if (!records->status) records->status = ARES_ETIMEOUT;
  }
  Conclude();
}

void DnsQuestion::Deliver() { std::exchange(done_, nullptr)(std::move(answer_)); }

}  // namespace hive
