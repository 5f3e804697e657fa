// One question to DNS: the A and AAAA records of one name, on a c-ares channel of its own. Private to dns.cc.
//
// Why not ares_getaddrinfo, which asks both too: it reports one status for the two, so a failed A beside an empty AAAA
// reads as "no such name", and a lost A beside a found AAAA as a full answer. Both would be believed by an election.
//
// Thread rule: one thread.
#pragma once

#include <ares.h>
#include <poll.h>

#include <optional>
#include <string>
#include <vector>

#include "common/net/dns.h"

namespace hive {

class DnsQuestion {
 public:
  // Begins to ask. `deadline`: when the owner will give up.
  DnsQuestion(std::string name, const ResolverOptions& options, Instant deadline, Resolver::Callback done);
  ~DnsQuestion();
  DnsQuestion(const DnsQuestion&) = delete;
  DnsQuestion& operator=(const DnsQuestion&) = delete;

  // Appends the sockets that are to be polled.
  void AddSockets(std::vector<pollfd>& sockets) const;
  // When Process is to be called even if no socket is ready.
  Instant NextTimeout(Instant now) const;
  // Reads and writes whichever of its sockets are ready among `sockets`, and lets its time-outs pass.
  void Process(const std::vector<pollfd>& sockets);

  bool answered() const { return answered_; }
  Instant deadline() const { return deadline_; }
  // Gives up: the answer becomes kNoAnswer.
  void TimeOut();
  // Hands out the answer; once, when answered().
  void Deliver();

 private:
  // What one of the two record types has come to.
  struct Records {
    DnsQuestion* question = nullptr;
    int family = 0;
    std::optional<int> status;  // c-ares' word for it; nothing while the reply is awaited
  };

  bool Open(const ResolverOptions& options);
  void PlanCandidates();
  void AskNext();
  static void OnReply(void* records, int status, int timeouts, unsigned char* reply, int length);
  int Take(int family, const unsigned char* reply, int length);
  void Conclude();
  void Answer(DnsAnswer::Outcome outcome, std::string text);

  const std::string name_;
  const Instant deadline_;
  Resolver::Callback done_;
  ares_channel channel_ = nullptr;
  std::string server_;                   // who is asked, for messages
  bool single_server_ = false;           // of --dns-server
  std::vector<std::string> candidates_;  // full names still to ask, last first: the search domains' and the name itself
  Records a_, aaaa_;
  int open_ = 0;  // replies that the current candidate still waits for
  bool answered_ = false;
  bool closing_ = false;
  DnsAnswer answer_;
};

}  // namespace hive
