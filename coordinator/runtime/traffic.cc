#include "coordinator/runtime/traffic.h"

#include <variant>

namespace hive::coordinator {
namespace {

using namespace election;  // NOLINT: this file is about nothing else

MessageKind KindOf(const Request& request) {
  static_assert(std::variant_size_v<Request> == 7);
  return static_cast<MessageKind>(request.index());  // the variant's order is the enumerators'
}

}  // namespace

const char* Name(MessageKind kind) {
  switch (kind) {
    case MessageKind::kGreet:
      return "greet";
    case MessageKind::kCampaign:
      return "campaign";
    case MessageKind::kPrepare:
      return "prepare";
    case MessageKind::kLead:
      return "lead";
    case MessageKind::kYield:
      return "yield";
    case MessageKind::kTakeOver:
      return "take_over";
    case MessageKind::kHandOver:
      return "hand_over";
    case MessageKind::kBeat:
      return "beat";
    case MessageKind::kReport:
      return "report";
    case MessageKind::kDial:
      return "dial";
  }
  return "?";
}

void Traffic::CountReceived(const Event& event) {
  if (const auto* request = std::get_if<RequestReceived>(&event)) {
    ++At(KindOf(request->request)).received;
  } else if (const auto* reply = std::get_if<ReplyReceived>(&event)) {
    // A refusal does not say what it refuses; it is counted with the greetings, which are what strangers exchange.
    const size_t index = reply->reply.index();
    ++At(index < std::variant_size_v<Request> ? static_cast<MessageKind>(index) : MessageKind::kGreet).received;
  } else if (std::holds_alternative<BeatReceived>(event)) {
    ++At(MessageKind::kBeat).received;
  } else if (std::holds_alternative<ReportReceived>(event)) {
    ++At(MessageKind::kReport).received;
  } else if (std::holds_alternative<Dialled>(event)) {
    ++At(MessageKind::kDial).received;
  }
}

void Traffic::CountSent(const Action& action) {
  if (const auto* request = std::get_if<SendRequest>(&action)) {
    ++At(KindOf(request->request)).sent;
  } else if (const auto* reply = std::get_if<SendReply>(&action)) {
    const size_t index = reply->reply.index();
    ++At(index < std::variant_size_v<Request> ? static_cast<MessageKind>(index) : MessageKind::kGreet).sent;
  } else if (std::holds_alternative<SendBeat>(action)) {
    ++At(MessageKind::kBeat).sent;
  } else if (std::holds_alternative<SendReport>(action) || std::holds_alternative<OpenFollow>(action)) {
    ++At(MessageKind::kReport).sent;
  } else if (std::holds_alternative<Dial>(action)) {
    ++At(MessageKind::kDial).sent;
  }
}

}  // namespace hive::coordinator
