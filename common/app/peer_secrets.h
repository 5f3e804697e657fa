// What members must prove that they know: the secrets of --peer-secret-file, else one derived from the redis password.
//
// The file: one secret per line. The first is used, all are accepted, so that a secret is changed without a moment in
// which members refuse one another: docs/security.md. The word "none" in place of a secret stands for members without
// one: listed, they are accepted; listed first, this process is one. Blank lines and lines that begin with '#' are
// skipped.
//
// Thread rule: a PeerSecrets is immutable, so it may be shared. Of a PeerSecretSource, Current from any thread, the
// rest from one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/time.h"

namespace hive {

// A secret as a key of HMAC-SHA256. Not the text itself: that need not lie about in memory, and a short password
// must cost a guesser more than one hash per guess.
using PeerKey = std::array<uint8_t, 32>;

struct PeerSecrets {
  std::optional<PeerKey> used;    // nothing: this process proves nothing
  std::vector<PeerKey> accepted;  // `used` among them
  bool accepts_unproven = true;   // whoever proves nothing is believed

  friend bool operator==(const PeerSecrets&, const PeerSecrets&) = default;
};

// Shorter secrets are refused: whoever is called by a member can try guesses against the proof that it is shown.
inline constexpr size_t kMinPeerSecretBytes = 16;
inline constexpr size_t kMaxPeerSecretBytes = 1024;
// A rotation needs two.
inline constexpr size_t kMaxPeerSecrets = 16;

// Of the file's text. The error says which line is wrong, and not what it holds.
absl::StatusOr<PeerSecrets> ParsePeerSecrets(const std::string& text);

// Of the redis password; an empty one gives no secret.
PeerSecrets PeerSecretsOfPassword(const std::string& password);

class PeerSecretSource {
 public:
  // How often the file is looked at.
  static constexpr Duration kRefreshInterval = Seconds(1);

  // `file`: --peer-secret-file; empty: the redis password is read, from `redis_password_file` or, when that is empty
  // too, from HIVE_REDIS_PASSWORD. The error is one line that names the flag and the file.
  static absl::StatusOr<std::unique_ptr<PeerSecretSource>> Open(std::string file, std::string redis_password_file);
  // With these secrets for good: for tests, and for processes that have none.
  explicit PeerSecretSource(PeerSecrets secrets = {});

  std::shared_ptr<const PeerSecrets> Current() const;

  // Reads the file again if it has changed, at most once per kRefreshInterval; call it often. A file that cannot be
  // read, or makes no sense, changes nothing and is told in the log, once per change.
  void Refresh(Instant now);

 private:
  PeerSecretSource(std::string file, std::string redis_password_file);
  absl::StatusOr<PeerSecrets> Read() const;

  const std::string file_;
  const std::string redis_password_file_;
  std::string seen_;  // which state of the file was read last: inode, size and time of its last change
  std::optional<Instant> looked_at_;

  mutable std::mutex mutex_;  // guards what follows
  std::shared_ptr<const PeerSecrets> current_;
};

}  // namespace hive
