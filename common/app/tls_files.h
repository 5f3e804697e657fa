// PEM files that flags name: a certificate, its key, and the authority that others' certificates must chain to. They
// may be replaced while the process runs (a Secret that cert-manager renews).
//
// Thread rule: free functions that read files.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/app/flags.h"
#include "common/net/tls_context.h"

namespace hive {

struct TlsFiles {
  std::string certificate;  // this process's, and the intermediates that lead to the authority
  std::string key;          // of the certificate, not encrypted
  std::string authority;    // one or more certificates: during a change of the CA, the old and the new

  bool empty() const { return certificate.empty() && key.empty() && authority.empty(); }
};

// Declares --tls-cert, --tls-key and --tls-ca (with the prefix "tls"). `files` outlives `flags`. `use`: "mutual TLS
// towards the other members", as the help says.
void DeclareTlsFlags(FlagSet& flags, std::string_view prefix, TlsFiles& files, std::string_view use);

// What is in those that are named. `flag_prefix`: "tls" of --tls-cert and so on. The error is one line that names the
// flag and the file: it cannot be read, is no PEM, or the key is another certificate's. A certificate without a key, or
// the other way round, is an error, too.
absl::StatusOr<TlsPem> ReadTlsFiles(const TlsFiles& files, std::string_view flag_prefix);

}  // namespace hive
