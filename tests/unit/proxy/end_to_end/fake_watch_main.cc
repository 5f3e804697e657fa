// fake-leader-watch LISTEN REDIS: names REDIS as the leader for ever. To try a proxy by hand:
//
//   redis-server --port 7001 &  fake-leader-watch 127.0.0.1:7400 127.0.0.1:7001 &  hive-proxy &  redis-cli -p 6380
#include <unistd.h>

#include <cstdio>

#include "tests/unit/proxy/end_to_end/fake_watch.h"

int main(int argc, char** argv) {
  const auto listen = argc == 3 ? hive::ParseEndpoint(argv[1]) : std::nullopt;
  const auto redis = argc == 3 ? hive::ParseEndpoint(argv[2]) : std::nullopt;
  if (!listen || !redis) {
    std::fprintf(stderr, "usage: fake-leader-watch IP:PORT REDIS-IP:PORT\n");
    return 2;
  }
  hive::proxy::FakeWatch watch(*listen);
  watch.SetLeader(1, *redis);
  for (;;) pause();
}
