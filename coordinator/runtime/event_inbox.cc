#include "coordinator/runtime/event_inbox.h"

#include <utility>

namespace hive::coordinator {

bool EventInbox::Offer(election::Event event) {
  if (offered_.fetch_add(1) < kMaxOffered && inbox_.Push(Item(Offered{std::move(event)}))) return true;
  offered_.fetch_sub(1);
  return false;
}

bool EventInbox::Ask(Question question) {
  if (questions_.fetch_add(1) < kMaxQuestions && inbox_.Push(Item(std::move(question)))) return true;
  questions_.fetch_sub(1);
  return false;
}

}  // namespace hive::coordinator
