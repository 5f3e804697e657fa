#include "coordinator/adapters/discovery.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <future>
#include <set>
#include <utility>

#include "common/app/log.h"
#include "common/net/clock.h"
#include "common/net/local_addresses.h"

namespace hive::coordinator {
namespace {

constexpr const char* kLog = "discovery";

// A label of a DNS name is checked by DNS itself; this only refuses what can be no name at all.
bool MayBeName(std::string_view name) {
  return !name.empty() && name.size() <= 253 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
  });
}

std::optional<Peers> ParseDns(std::string_view text) {
  Peers peers;
  if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    const std::string_view digits = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), peers.port);
    if (error != std::errc() || end != digits.data() + digits.size() || peers.port == 0) return std::nullopt;
    text = text.substr(0, colon);
  }
  if (!MayBeName(text)) return std::nullopt;
  peers.name = text;
  return peers;
}

std::optional<Peers> ParseList(std::string_view text) {
  std::set<Endpoint> listed;
  while (true) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::optional<Endpoint> endpoint = ParseEndpoint(text.substr(0, comma));
    if (!endpoint) return std::nullopt;
    listed.insert(*endpoint);
    if (comma == text.size()) break;
    text.remove_prefix(comma + 1);
  }
  Peers peers;
  peers.listed.assign(listed.begin(), listed.end());
  return peers;
}

std::vector<std::string> AddressesOf(const std::vector<Endpoint>& endpoints) {
  std::vector<std::string> addresses;
  for (const Endpoint& endpoint : endpoints) addresses.push_back(endpoint.ip);
  return addresses;
}

std::string Join(const std::vector<std::string>& words) {
  std::string joined;
  for (const std::string& word : words) joined += (joined.empty() ? "" : ", ") + word;
  return joined;
}

}  // namespace

std::optional<Peers> ParsePeers(std::string_view text) {
  constexpr std::string_view kDns = "dns:";
  constexpr std::string_view kStatic = "static:";
  if (text.starts_with(kDns)) return ParseDns(text.substr(kDns.size()));
  if (text.starts_with(kStatic)) return ParseList(text.substr(kStatic.size()));
  return std::nullopt;
}

OwnAddress::Answer OwnAddress::Find(const DiscoveryOptions& options, const std::function<bool(Duration)>& wait) {
  std::optional<Resolver> resolver;
  if (!options.peers.name.empty()) resolver.emplace(ResolverOptions{.server = options.dns_server});
  std::optional<Instant> told;
  for (;;) {
    std::vector<std::string> listed = AddressesOf(options.peers.listed);
    std::string seen = "--peers lists " + Join(listed);
    if (resolver) {
      auto answer = std::make_shared<std::promise<DnsAnswer>>();
      std::future<DnsAnswer> future = answer->get_future();
      resolver->Resolve(options.peers.name, [answer](DnsAnswer a) { answer->set_value(std::move(a)); });
      const DnsAnswer dns = future.get();
      listed = dns.addresses;
      seen = dns.text;
    }
    const std::vector<std::string> mine = LocalAddresses::Read().Among(listed);
    if (mine.size() == 1) return {Outcome::kFound, mine.front(), ""};
    if (mine.size() > 1) {
      return {Outcome::kAmbiguous, "",
              "which of this machine's addresses " + Join(mine) + " is this member's? choose one (--advertise-ip)"};
    }
    const Instant now = ReadMonotonicClock();
    if (!told || now - *told >= PeerDiscovery::kRemindEvery) {
      told = now;
      LogWarning(kLog, "none of this machine's addresses is listed: waiting until one is (or give --advertise-ip)",
                 {{"seen", seen}, {"local", Join(LocalAddresses::Read().all())}});
    }
    if (wait(options.dns_interval)) return {};
  }
}

PeerDiscovery::PeerDiscovery(DiscoveryOptions options, std::string own_ip, EventInbox& inbox)
    : options_(std::move(options)), own_ip_(std::move(own_ip)), inbox_(inbox) {
  if (!options_.peers.name.empty()) {
    resolver_ = std::make_unique<Resolver>(ResolverOptions{.server = options_.dns_server});
  }
  thread_ = std::thread([this] { Run(); });
}

PeerDiscovery::~PeerDiscovery() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void PeerDiscovery::ResolveNow() {
  {
    const std::lock_guard lock(mutex_);
    wanted_ = true;
  }
  wake_.notify_one();
}

void PeerDiscovery::Run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    // A question under way is waited for rather than asked again; it ends within the resolver's timeout.
    wanted_ = false;
    const Instant asked = ReadMonotonicClock();
    if (!asking_) {
      asking_ = true;
      lock.unlock();
      Ask();
      lock.lock();
    }
    wake_.wait_for(lock, options_.dns_interval, [this] { return ending_ || wanted_; });
    wake_.wait_for(lock, asked + kAtMostEvery - ReadMonotonicClock(), [this] { return ending_; });
  }
}

void PeerDiscovery::Ask() {
  if (resolver_) {
    resolver_->Resolve(options_.peers.name, [this](const DnsAnswer& answer) { Answer(answer); });
    return;
  }
  TellIfUnlisted(AddressesOf(options_.peers.listed));
  Tell(options_.peers.listed);
  const std::lock_guard lock(mutex_);
  asking_ = false;
}

void PeerDiscovery::Answer(const DnsAnswer& answer) {
  const bool answered = answer.outcome == DnsAnswer::Outcome::kAddresses;
  if (!answered) {
    told_.reset();
    inbox_.Post(election::PeersUnlisted{answer.outcome == DnsAnswer::Outcome::kNoSuchName, answer.text});
  } else {
    std::vector<Endpoint> listed;
    for (const std::string& ip : answer.addresses) listed.push_back({ip, options_.peers.port});
    // Half an answer (A without AAAA, or the other way round): absence from it proves nothing, so nobody leaves by it.
    if (!answer.complete) listed.insert(listed.end(), listed_.begin(), listed_.end());
    std::sort(listed.begin(), listed.end());
    listed.erase(std::unique(listed.begin(), listed.end()), listed.end());
    listed_ = listed;
    TellIfUnlisted(AddressesOf(listed));
    Tell(std::move(listed));
  }
  const std::lock_guard lock(mutex_);
  asking_ = false;
}

// The same list once more is no reason to wake anybody up.
void PeerDiscovery::Tell(std::vector<Endpoint> listed) {
  const bool news = listed != told_;
  told_ = listed;
  election::PeersListed event{std::move(listed)};
  if (news) {
    inbox_.Post(std::move(event));
  } else {
    inbox_.PostWithoutHurry(std::move(event));
  }
}

void PeerDiscovery::TellIfUnlisted(const std::vector<std::string>& addresses) {
  if (std::find(addresses.begin(), addresses.end(), own_ip_) != addresses.end()) {
    unlisted_since_.reset();
    return;
  }
  const Instant now = ReadMonotonicClock();
  if (!unlisted_since_) unlisted_since_ = now;
  if (now - *unlisted_since_ < kUnlistedPatience || (reminded_ && now - *reminded_ < kRemindEvery)) return;
  reminded_ = now;
  const char* words =
      resolver_ ? "DNS lists others but not this member: check the service's selector and address family, and POD_IP"
                : "--peers lists others but not this member: add it, or correct --advertise-ip";
  LogWarning(kLog, words, {{"self", own_ip_}, {"listed", Join(addresses)}});
}

}  // namespace hive::coordinator
