// What must hold of a session whatever the client says, the server answers and the hive goes through; checked by the
// fuzzer and over its corpus.
#pragma once

#include <string_view>

namespace hive::proxy {

// `input` is a script: each byte an event (a command of the client, replies, a gate, a connection's end, ...), some
// with a byte more. Aborts, saying why on stderr, when one of these breaks (docs/proxy.md, "Invariants"):
//
//   - a write that may have been executed is sent again
//   - a reply that is no answer to its command; one too many; one too few when all is quiet, of a client that is open
//   - a write or EXEC sent while the gate is closed; its reply relayed, while nothing confirms it
//   - a command executed in another database, or as in another protocol, than the client had chosen
//   - a client that lives on behind half a reply
void CheckSession(std::string_view input);

}  // namespace hive::proxy
