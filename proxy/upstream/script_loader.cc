#include "proxy/upstream/script_loader.h"

#include <utility>

#include "common/app/log.h"

namespace hive::proxy {

ScriptLoader::ScriptLoader(const Transport& transport, ControlLink::Credentials credentials, std::function<void()> done)
    : link_(transport, std::move(credentials),
            {[this] { link_.Send(std::exchange(requests_, {})); }, [this](const resp::Reply& reply) { OnReply(reply); },
             [this](const std::string& why) {
               LogDebug("scripts", "not all were loaded into the new leader's redis",
                        {{"redis", ToString(redis_)}, {"missing", count_}, {"why", why}});
               End();
             }}),
      done_(std::move(done)),
      timer_(transport.poller, [this] { OnTime(); }) {}

void ScriptLoader::Start(const Endpoint& redis, std::string requests, size_t count) {
  Stop();
  redis_ = redis;
  requests_ = std::move(requests);
  count_ = count;
  refused_ = 0;
  awaited_ = true;
  timer_.StartIn(kPatience);
  link_.Connect(redis);
}

void ScriptLoader::Stop() {
  awaited_ = false;
  timer_.Stop();
  link_.Close();
}

void ScriptLoader::OnReply(const resp::Reply& reply) {
  if (reply.is_push()) return;
  if (reply.is_error()) ++refused_;
  if (--count_ > 0) return;
  if (refused_ > 0) {
    LogWarning("scripts", "the new leader's redis does not take scripts that the one before took",
               {{"redis", ToString(redis_)}, {"refused", refused_}, {"the_last", std::string(reply.error())}});
  }
  End();
}

void ScriptLoader::OnTime() {
  if (!awaited_) return End();
  timer_.StartIn(kGivesUp);
  awaited_ = false;
  done_();
}

void ScriptLoader::End() {
  const bool awaited = awaited_;
  Stop();
  if (awaited) done_();
}

}  // namespace hive::proxy
