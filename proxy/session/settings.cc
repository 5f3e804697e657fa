#include "proxy/session/settings.h"

#include <algorithm>
#include <cctype>
#include <vector>

namespace hive::proxy {
namespace {

using resp::ConnectionCommand;

using Names = std::set<std::string, std::less<>>;

void AppendSubscribe(std::string_view command, const Names& names, Settings::Replay& replay) {
  if (names.empty()) return;
  std::vector<std::string_view> arguments = {command};
  arguments.insert(arguments.end(), names.begin(), names.end());
  resp::AppendRequest(&replay.requests, arguments);
  replay.channels += static_cast<uint32_t>(names.size());
}

void AppendCommand(std::initializer_list<std::string_view> arguments, Settings::Replay& replay) {
  resp::AppendRequest(&replay.requests, arguments);
  ++replay.replies;
}

}  // namespace

bool SameWord(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

Settings::More& Settings::more() {
  if (!more_) more_ = std::make_unique<More>();
  return *more_;
}

void Settings::Clear() {
  ++resets_;
  protocol_ = resp::Protocol::kResp2;
  more_.reset();
}

void Settings::Agreed(ConnectionCommand command, const resp::Request& request) {
  const uint32_t count = request.argument_count();
  switch (command) {
    case ConnectionCommand::kAuth:
      if (count < 2) return;
      more().authenticated = true;
      more().user = count > 2 ? request.argument(1) : std::string_view();
      more().password = request.argument(count - 1);
      return;
    case ConnectionCommand::kHello:
      AgreedHello(request);
      return;
    case ConnectionCommand::kSelect:
      if (count == 2) more().database = request.argument(1);
      return;
    case ConnectionCommand::kClientSetName:
      if (count == 3) more().name = request.argument(2);
      return;
    case ConnectionCommand::kClientSetInfo:
      if (count != 4) return;
      (SameWord(request.argument(2), "lib-name") ? more().library_name : more().library_version) = request.argument(3);
      return;
    case ConnectionCommand::kClientNoEvict:
      if (count == 3) more().no_evict = request.argument(2);
      return;
    case ConnectionCommand::kClientNoTouch:
      if (count == 3) more().no_touch = request.argument(2);
      return;
    default:
      return;
  }
}

// HELLO [version [AUTH user password] [SETNAME name]]; redis documentation, "HELLO".
void Settings::AgreedHello(const resp::Request& request) {
  const uint32_t count = request.argument_count();
  if (count < 2) return;
  protocol_ = request.argument(1) == "3" ? resp::Protocol::kResp3 : resp::Protocol::kResp2;
  for (uint32_t i = 2; i < count;) {
    if (SameWord(request.argument(i), "auth") && i + 2 < count) {
      more().authenticated = true;
      more().user = request.argument(i + 1);
      more().password = request.argument(i + 2);
      i += 3;
    } else if (SameWord(request.argument(i), "setname") && i + 1 < count) {
      more().name = request.argument(i + 1);
      i += 2;
    } else {
      return;  // a later redis' option, which this proxy cannot repeat
    }
  }
}

void Settings::Subscribed(std::string_view kind, std::string_view channel) {
  const bool ends = kind.find("unsubscribe") != std::string_view::npos;
  if (ends && !more_) return;
  Names& names = kind.front() == 'p'                          ? more().patterns
                 : kind.front() == 's' && kind != "subscribe" ? more().shard_channels
                                                              : more().channels;
  if (!ends) {
    names.emplace(channel);
  } else if (const auto found = names.find(channel); found != names.end()) {
    names.erase(found);
  }
}

bool Settings::IsOn(std::string_view word) { return SameWord(word, "on"); }

std::string_view Settings::database() const {
  return more_ && !more_->database.empty() ? std::string_view(more_->database) : std::string_view("0");
}

bool Settings::MeansTheSame(const Settings& other) const {
  if (protocol_ != other.protocol_) return false;
  if (!more_ && !other.more_) return true;
  if (database() != other.database() || authenticated() != other.authenticated()) return false;
  return !authenticated() || (more_->user == other.more_->user && more_->password == other.more_->password);
}

Settings Settings::ForLane() const {
  Settings copy;
  copy.protocol_ = protocol_;
  if (!more_) return copy;
  More& more = copy.more();
  more.authenticated = more_->authenticated;
  more.user = more_->user;
  more.password = more_->password;
  more.database = more_->database;
  return copy;
}

size_t Settings::subscriptions() const {
  return more_ ? more_->channels.size() + more_->patterns.size() + more_->shard_channels.size() : 0;
}

size_t Settings::SubscriptionsOf(ConnectionCommand unsubscribe) const {
  if (!more_) return 0;
  switch (unsubscribe) {
    case ConnectionCommand::kUnsubscribe:
      return more_->channels.size();
    case ConnectionCommand::kPatternUnsubscribe:
      return more_->patterns.size();
    case ConnectionCommand::kShardUnsubscribe:
      return more_->shard_channels.size();
    default:
      return 0;
  }
}

void Settings::ReplayHello(Replay& replay) const {
  const bool authenticate = more_ && more_->authenticated;
  if (protocol_ == resp::Protocol::kResp2) {
    if (!authenticate) return;
    if (more_->user.empty()) {
      AppendCommand({"AUTH", more_->password}, replay);
    } else {
      AppendCommand({"AUTH", more_->user, more_->password}, replay);
    }
    return;
  }
  if (authenticate) {
    AppendCommand({"HELLO", "3", "AUTH", more_->user.empty() ? "default" : more_->user, more_->password}, replay);
  } else {
    AppendCommand({"HELLO", "3"}, replay);
  }
}

Settings::Replay Settings::MakeLaneReplay() const {
  Replay replay;
  ReplayHello(replay);
  if (database() != "0") AppendCommand({"SELECT", database()}, replay);
  replay.essential = replay.replies;
  return replay;
}

Settings::Replay Settings::MakeReplay() const {
  Replay replay = MakeLaneReplay();
  if (!more_) return replay;
  if (!more_->name.empty()) AppendCommand({"CLIENT", "SETNAME", more_->name}, replay);
  if (!more_->library_name.empty()) AppendCommand({"CLIENT", "SETINFO", "LIB-NAME", more_->library_name}, replay);
  if (!more_->library_version.empty()) AppendCommand({"CLIENT", "SETINFO", "LIB-VER", more_->library_version}, replay);
  if (!more_->no_evict.empty()) AppendCommand({"CLIENT", "NO-EVICT", more_->no_evict}, replay);
  if (!more_->no_touch.empty()) AppendCommand({"CLIENT", "NO-TOUCH", more_->no_touch}, replay);
  AppendSubscribe("SUBSCRIBE", more_->channels, replay);
  AppendSubscribe("PSUBSCRIBE", more_->patterns, replay);
  AppendSubscribe("SSUBSCRIBE", more_->shard_channels, replay);
  return replay;
}

}  // namespace hive::proxy
