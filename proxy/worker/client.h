// One client: its socket, its session, and its connection to the leader's redis: a lane that it shares, or a link of
// its own. Moves bytes; what they mean, the session says.
//
//   client socket -> RequestScanner -> Session -> Lane or Link -> redis
//   client socket <- queue of replies <- Session <- ReplyScanner <- Lane or Link <- redis
//
// Bytes are relayed from the loop's shared read buffers; a client has buffers of its own only for the end of a command
// or reply that has not come in full, for commands that are held or in flight, and for replies that it does not take.
//
// Thread rule: its event loop's thread.
// Lifetime: owned by the loop. Close() takes it out of everything at once; it is freed at the end of the turn.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string_view>

#include "common/net/poller.h"
#include "common/net/stream.h"
#include "proxy/resp/reply_scanner.h"
#include "proxy/resp/request_scanner.h"
#include "proxy/session/byte_queue.h"
#include "proxy/session/session.h"
#include "proxy/upstream/lane.h"
#include "proxy/upstream/link.h"
#include "proxy/upstream/write_acks.h"
#include "proxy/worker/drain.h"
#include "proxy/worker/former_feed.h"
#include "proxy/worker/limits.h"
#include "proxy/worker/memory.h"
#include "proxy/worker/visitor.h"

namespace hive::proxy {

class EventLoop;

class Client final : private Poller::Handler, private Link::Owner, private Lane::Rider {
 public:
  Client(EventLoop& loop, Stream socket);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Begins to read. False: the kernel refuses to watch the socket.
  [[nodiscard]] bool Start();

  // Another leader: the link to the old one is cut. At once, unless `handed_over`: then not before that one has
  // answered what it was sent, or PatienceIsOver().
  void LeaderChanged(bool handed_over);
  void PatienceIsOver();
  // The same redis leads under another term: it may have been another's replica meanwhile, so that what it confirms now
  // is not what it wrote then.
  void TermChanged();
  // Something that it may have waited for has changed: a leader, a lease, memory.
  void Resume();
  // What waits is looked at every kWaitingTick.
  void OnTick(Instant now);
  // There has been no lease for --hold-timeout: closed if what it has in flight, or its reply, is as old.
  void EndOverdue(Instant now);
  // From now on its connection is half-closed right behind a reply; or (kEveryone) also when it has been quiet for
  // kQuietBeforeEnd, or, if it never is, behind what it has sent by now.
  void Part(DrainStage stage);

  // Gives back what it keeps for its next commands, if it has not sent any for kIdleBeforeShed. False: it keeps
  // nothing, or is in use.
  bool ShedIfIdle(Instant now);

  // Whether it keeps memory that others lack, though it could give it back: it does not read, or not send the rest of a
  // command.
  bool KeepsMemory() const;
  Debtor debtor() const;
  // Closes it for that. What it has not taken is dropped.
  void Evict();

  // Whether it waits for something that is not told by a socket.
  bool waiting() const;

  void Close();
  bool closed() const { return closed_; }

  // For /metrics: commands that have not been sent; connections to redis of its own.
  size_t unsent() const { return session_.unsent(); }
  size_t own_links() const { return (link_ ? 1 : 0) + (former_feed_ ? 1 : 0); }

  // The loop's: where it stands in the list of those that wait.
  std::list<Client*>* waiting_list = nullptr;
  std::list<Client*>::iterator waiting_at;
  // The loop's: its place among all clients.
  size_t index = 0;

 private:
  // Why replies that have come are kept: at their front is a write's.
  enum class Withheld : uint8_t { kNo, kForLease, kForAcks };

  // --write-acks: how far replicas have been asked about the connection's replies, in bytes of what came on it.
  class AckProgress final : public WriteAcks::Waiter {
   public:
    explicit AckProgress(Client& client) : client_(client) {}
    void OnAckRoundBegins() override { in_round_ = judged_ + client_.unjudged_.size(); }
    void OnAckRoundEnds(const AckResult& result) override;

    void Judged(size_t bytes) { judged_ += bytes; }
    // Whether they have been asked about the reply that begins `ahead` bytes behind what was judged.
    bool Covers(size_t ahead) const { return judged_ + ahead < covered_; }
    // What they said.
    const AckResult& result() const { return result_; }
    // Another connection.
    void Forget() { judged_ = in_round_ = covered_ = 0; }

   private:
    Client& client_;
    uint64_t judged_ = 0;  // in front of Client::unjudged_
    uint64_t in_round_ = 0;
    uint64_t covered_ = 0;
    AckResult result_;
  };

  // --- the client's side: client.cc
  void OnReady(uint32_t ready) override;
  void OnReadable();
  void OnEnd();
  size_t Parse(std::string_view bytes);
  bool ParseKept();
  void Take(const resp::Request& request, std::optional<bool>& must_authenticate, bool memory_left);
  std::optional<bool> MustAuthenticate() const;
  std::optional<bool> AskWhetherItMust();
  bool ParseIncomplete(std::string_view rest, size_t* consumed);
  resp::RequestScanner& requests();
  resp::RequestStatus ScanRequest(std::string_view bytes, bool authentication_required);
  void RelayBody(std::string_view bytes);
  bool PassesBody();
  ssize_t FillPipe(SplicePipe& pipe);
  void PassBody(SplicePipe& pipe);
  void EndBodyIfSent();
  void ToClient(std::string_view bytes);
  void FlushToClient();
  void EmitLocalReplies();

  // --- which connection to the server: client_route.cc
  void ChooseConnection();
  bool WantsToMove() const;
  void OpenLink();
  void JoinLane();
  void RenewVisitor();
  void LeaveLane();
  void MoveToOwnLink();
  void AdaptLaneWindow(size_t reply_size);
  void ForgetReplies();
  void CloseInDoubt();
  bool connected() const { return link_ || lane_ != nullptr; }
  bool is_former() const { return link_is_former_ || (lane_ != nullptr && lane_->former()); }
  void EndLink(LinkEnd end, bool held_oldest = true);
  std::string_view LaneBytes() override;
  uint32_t OnLaneSent(size_t bytes) override { return session_.Sent(bytes, loop_now()); }
  void OnLaneFlushed() override;
  void OnLaneReplies(std::string_view bytes, uint32_t plain) override;
  bool RelayPlain(std::string_view bytes, uint32_t replies);
  void OnLaneEnded(bool crashed, bool oldest) override;
  void OnLaneRefused(std::string_view error) override;
  Instant loop_now() const;

  // --- the server's side: client_upstream.cc
  void OnLinkUp() override;
  void OnLinkReadable() override;
  void OnLinkWritable() override;
  void OnLinkDown(const absl::Status& why) override;
  Gates gates() const;
  void SendCommands();
  void ReadReplies();
  void ReadFormerFeed();
  void EndFormerFeed();
  void TakeReplies(std::string_view bytes);
  void RelayKept();
  size_t Relay(std::string_view bytes);
  resp::ReplyScanner& replies();
  resp::ReplyStatus ScanReply(std::string_view bytes);
  void NoteJudged(size_t bytes);
  struct Run;
  bool RelayRun(Run& run);
  bool Splice(Run& run, std::string_view reply, ReplyDecision& decision);
  bool RelayWhole(Run& run);
  bool RelayPart(Run& run);
  Confirmation ConfirmationOf(const Run& run) const;
  bool Obey(Run& run, ReplyDecision decision, size_t size);

  void Settle();
  void UpdateInterest();
  bool MayReadCommands() const;
  bool discards() const;
  bool MayPart() const;
  // Whether the kernel has all that there is for it.
  bool has_taken_all() const { return to_client_.empty() && socket_.unsent() == 0; }
  bool answered_since_parting() const { return taken_ > taken_before_parting_; }
  bool MayReadReplies() const;
  bool TakesReplies() const;
  bool ReadsSlowly() const;
  bool OwesReading() const;
  void AccountMemory();

  EventLoop& loop_;
  [[no_unique_address]] Stream socket_;  // whose last four bytes are padding, in which there is room for:
  uint32_t interest_ = 0;
  Session session_;
  std::unique_ptr<Link> link_;
  Lane* lane_ = nullptr;  // never both
  std::unique_ptr<FormerFeed> former_feed_;
  Instant avoids_lane_until_{};          // its replies are too large, or it is too slow to take them; or unfit for one
  uint32_t lane_window_ = kFirstOnLane;  // commands that may be in flight on a lane
  uint32_t reply_size_ = 0;  // bytes of a reply of late, on the average: how many may be in flight on a lane
  Visitor visitor_;

  // Of its own only in the middle of a command or of a reply; null: the loop's.
  std::unique_ptr<resp::RequestScanner> requests_;
  std::unique_ptr<resp::ReplyScanner> replies_;
  ByteQueue unparsed_;  // the beginning of a command, or commands that must wait behind a streamed one
  ByteQueue body_;      // of a streamed command, on its way to the link
  ByteQueue unjudged_;  // the beginning of a reply, or replies that are withheld
  ByteQueue to_client_;
  std::unique_ptr<AckProgress> ack_progress_;  // null without --write-acks

  uint64_t taken_ = 0;     // bytes that the client's socket took
  uint64_t boundary_ = 0;  // where in that stream the last whole reply ends
  uint64_t taken_before_parting_ = 0;
  Instant last_taken_{};
  Instant last_heard_{};  // when it connected, or last sent something
  Instant half_closed_at_{};
  Instant large_since_{};  // when accounted_ became more than kSmallShare
  MemoryShare accounted_;

  ReplyAction part_action_ = ReplyAction::kNeedMore;  // of the reply that has come in part; kNeedMore: none
  Withheld withheld_ = Withheld::kNo;
  DrainStage parting_ = DrainStage::kServing;
  bool body_ends_ = false;       // what is in body_ is all of the rest of it
  bool link_proven_ = false;     // it came to be when nothing spoke against what listens there
  bool link_is_former_ = false;  // to the redis of a leader that has handed over: nothing new is sent on it
  bool half_closed_ = false;     // the client sends no more
  bool peer_told_ = false;       // ... which is known from kPeerClosed, before it was read
  bool ceases_ = false;
  bool parted_ = false;  // half-closed from here
  bool closed_ = false;
};

}  // namespace hive::proxy
