#include "common/app/peer_secrets.h"

#include <openssl/evp.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "common/app/log.h"
#include "common/app/redis_password.h"
#include "common/app/small_file.h"

namespace hive {
namespace {

constexpr std::string_view kNone = "none";
constexpr size_t kMaxFileBytes = (kMaxPeerSecretBytes + 1) * kMaxPeerSecrets;

// About 5 ms: a start or a reload does not feel it, whoever guesses passwords does.
constexpr int kStretchRounds = 20'000;
constexpr std::string_view kOfFile = "redis-hive peer secret 1, of a file";
constexpr std::string_view kOfPassword = "redis-hive peer secret 1, of a redis password";

PeerKey Stretch(std::string_view secret, std::string_view salt) {
  PeerKey key{};
  PKCS5_PBKDF2_HMAC(secret.data(), static_cast<int>(secret.size()), reinterpret_cast<const unsigned char*>(salt.data()),
                    static_cast<int>(salt.size()), kStretchRounds, EVP_sha256(), static_cast<int>(key.size()),
                    key.data());
  return key;
}

std::string_view WithoutBlanks(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r";
  const size_t first = line.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

absl::StatusOr<PeerSecrets> ParsePeerSecrets(const std::string& text) {
  PeerSecrets secrets{.used = {}, .accepted = {}, .accepts_unproven = false};
  size_t number = 0;
  size_t listed = 0;
  const auto refuse = [&number](const std::string& why) {
    return absl::InvalidArgumentError("line " + std::to_string(number) + " " + why);
  };
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = WithoutBlanks(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
    ++number;
    if (line.empty() || line.front() == '#') continue;
    if (++listed > kMaxPeerSecrets) return refuse("is one secret too many: at most " + std::to_string(kMaxPeerSecrets));
    if (line == kNone) {
      secrets.accepts_unproven = true;
      continue;
    }
    if (line.size() < kMinPeerSecretBytes) {
      return refuse("is shorter than " + std::to_string(kMinPeerSecretBytes) +
                    " bytes: too easy to guess; `openssl rand -hex 32` makes a good one");
    }
    if (line.size() > kMaxPeerSecretBytes) {
      return refuse("is longer than " + std::to_string(kMaxPeerSecretBytes) + " bytes");
    }
    secrets.accepted.push_back(Stretch(line, kOfFile));
    if (listed == 1) secrets.used = secrets.accepted.back();
  }
  if (listed == 0) return absl::InvalidArgumentError("holds no secret");
  return secrets;
}

PeerSecrets PeerSecretsOfPassword(const std::string& password) {
  if (password.empty()) return {};
  const PeerKey key = Stretch(password, kOfPassword);
  return {.used = key, .accepted = {key}, .accepts_unproven = false};
}

PeerSecretSource::PeerSecretSource(PeerSecrets secrets)
    : current_(std::make_shared<const PeerSecrets>(std::move(secrets))) {}

PeerSecretSource::PeerSecretSource(std::string file, std::string redis_password_file)
    : file_(std::move(file)), redis_password_file_(std::move(redis_password_file)) {}

absl::StatusOr<std::unique_ptr<PeerSecretSource>> PeerSecretSource::Open(std::string file,
                                                                         std::string redis_password_file) {
  std::unique_ptr<PeerSecretSource> source(new PeerSecretSource(std::move(file), std::move(redis_password_file)));
  source->seen_ = StateOfFile(source->file_.empty() ? source->redis_password_file_ : source->file_);
  absl::StatusOr<PeerSecrets> secrets = source->Read();
  if (!secrets.ok()) return secrets.status();
  source->current_ = std::make_shared<const PeerSecrets>(*std::move(secrets));
  return source;
}

absl::StatusOr<PeerSecrets> PeerSecretSource::Read() const {
  if (file_.empty()) {
    const absl::StatusOr<std::string> password = ReadRedisPassword(redis_password_file_);
    if (!password.ok()) return password.status();
    return PeerSecretsOfPassword(*password);
  }
  const auto refuse = [this](const absl::Status& status) {
    return absl::InvalidArgumentError("--peer-secret-file=" + file_ + ": " + std::string(status.message()));
  };
  const absl::StatusOr<std::string> text = ReadSmallFile(file_, kMaxFileBytes);
  if (!text.ok()) return refuse(text.status());
  absl::StatusOr<PeerSecrets> secrets = ParsePeerSecrets(*text);
  if (!secrets.ok()) return refuse(secrets.status());
  return secrets;
}

std::shared_ptr<const PeerSecrets> PeerSecretSource::Current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

void PeerSecretSource::Refresh(Instant now) {
  const std::string& watched = file_.empty() ? redis_password_file_ : file_;
  if (watched.empty() || (looked_at_ && now - *looked_at_ < kRefreshInterval)) return;
  looked_at_ = now;
  std::string state = StateOfFile(watched);
  if (state == seen_) return;
  seen_ = std::move(state);
  absl::StatusOr<PeerSecrets> secrets = Read();
  if (!secrets.ok()) {
    LogWarning("security", "the members' secret cannot be read again: the old one stays in use",
               {{"reason", std::string(secrets.status().message())}});
    return;
  }
  if (*secrets == *Current()) return;
  LogInfo("security", "the members' secret has changed",
          {{"accepted", secrets->accepted.size()}, {"accepts_unproven", secrets->accepts_unproven}});
  auto replaced = std::make_shared<const PeerSecrets>(*std::move(secrets));
  const std::lock_guard lock(mutex_);
  current_ = std::move(replaced);
}

}  // namespace hive
