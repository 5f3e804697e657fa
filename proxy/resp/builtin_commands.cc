// What redis 7.0 says of its own commands: used until a server was asked, and for what no server says of them.
#include <algorithm>
#include <string_view>

#include "proxy/resp/command_facts.h"

namespace hive::resp {
namespace {

// Flagged "readonly" by redis 7.0.15.
constexpr std::string_view kReads =
    "bitcount bitfield_ro bitpos dbsize dump eval_ro evalsha_ro exists expiretime fcall_ro geodist geohash geopos "
    "georadius_ro georadiusbymember_ro geosearch get getbit getrange hexists hget hgetall hkeys hlen hmget "
    "hrandfield hscan hstrlen hvals keys lcs lindex llen lolwut lpos lrange memory|usage mget object|encoding "
    "object|freq object|idletime object|refcount pexpiretime pfcount pttl randomkey scan scard sdiff sinter "
    "sintercard sismember smembers smismember sort_ro srandmember sscan strlen substr sunion touch ttl type "
    "xinfo|consumers xinfo|groups xinfo|stream xlen xpending xrange xread xrevrange zcard zcount zdiff zinter "
    "zintercard zlexcount zmscore zrandmember zrange zrangebylex zrangebyscore zrank zrevrange zrevrangebylex "
    "zrevrangebyscore zrevrank zscan zscore zunion";

// Flagged neither "readonly" nor "write" by any server, yet sending them twice changes nothing. Whatever may reset,
// load, kill or publish is not here; nor is WAIT, whose answer is worth nothing from another leader.
constexpr std::string_view kHarmless =
    "acl|cat acl|dryrun acl|genpass acl|getuser acl|help acl|list acl|users acl|whoami client|getname "
    "client|getredir client|help client|id client|info client|list client|trackinginfo cluster|info "
    "cluster|keyslot cluster|myid cluster|nodes cluster|shards cluster|slots command command|count command|docs "
    "command|getkeys command|getkeysandflags command|help command|info command|list config|get config|help echo "
    "function|dump function|help function|list function|stats info lastsave latency|doctor latency|graph "
    "latency|help latency|histogram latency|history latency|latest memory|doctor memory|help memory|malloc-stats "
    "memory|stats module|help module|list object|help ping pubsub|channels pubsub|help pubsub|numpat "
    "pubsub|numsub pubsub|shardchannels pubsub|shardnumsub role script|exists script|help slowlog|get "
    "slowlog|help slowlog|len time xgroup|help xinfo|help";

}  // namespace

void CommandTable::AddReads(std::string_view names) {
  while (!names.empty()) {
    const std::string_view name = names.substr(0, names.find(' '));
    Add(name).facts.effect = Effect::kRead;
    names.remove_prefix(std::min(names.size(), name.size() + 1));
  }
}

void CommandTable::AddBuiltIn() { AddReads(kReads); }
void CommandTable::AddHarmless() { AddReads(kHarmless); }

}  // namespace hive::resp
