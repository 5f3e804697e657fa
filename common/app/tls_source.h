// The TLS context of one end of connections, made from files that may be replaced while the process runs. Connections
// that are open stay as they are; new ones use what was found last.
//
// Thread rule: Current from any thread, the rest from one.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/app/tls_files.h"
#include "common/base/time.h"
#include "common/net/tls_context.h"

namespace hive {

class TlsSource {
 public:
  // How often the files are looked at. What has changed is read once it has stayed the same from one look to the next:
  // a certificate and its key may be replaced one after the other.
  static constexpr Duration kRefreshInterval = Seconds(1);

  struct Options {
    TlsFiles files;
    std::string flag_prefix;  // "tls" of --tls-cert and so on
    TlsContext::Side side = TlsContext::Side::kServer;
    TlsContext::PeerCertificate peer = TlsContext::PeerCertificate::kRequired;
  };

  // The error is one line that names the flag and the file.
  static absl::StatusOr<std::shared_ptr<TlsSource>> Open(Options options);

  std::shared_ptr<const TlsContext> Current() const;

  // Reads the files again if they have changed, at most once per kRefreshInterval; call it often. Files that cannot be
  // used change nothing and are told in the log, once per change.
  void Refresh(Instant now);

 private:
  explicit TlsSource(Options options) : options_(std::move(options)) {}
  absl::StatusOr<std::shared_ptr<const TlsContext>> Load() const;
  std::string StateOfFiles() const;

  const Options options_;
  std::string read_;  // which state of the files was read last
  std::string seen_;  // ... and at which they were when they were looked at last
  std::optional<Instant> looked_at_;

  mutable std::mutex mutex_;  // guards what follows
  std::shared_ptr<const TlsContext> current_;
};

}  // namespace hive
