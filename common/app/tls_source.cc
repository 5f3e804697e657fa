#include "common/app/tls_source.h"

#include <utility>

#include "common/app/log.h"
#include "common/app/small_file.h"

namespace hive {

absl::StatusOr<std::shared_ptr<TlsSource>> TlsSource::Open(Options options) {
  std::shared_ptr<TlsSource> source(new TlsSource(std::move(options)));
  source->read_ = source->seen_ = source->StateOfFiles();
  absl::StatusOr<std::shared_ptr<const TlsContext>> context = source->Load();
  if (!context.ok()) return context.status();
  source->current_ = *std::move(context);
  return source;
}

absl::StatusOr<std::shared_ptr<const TlsContext>> TlsSource::Load() const {
  const absl::StatusOr<TlsPem> pem = ReadTlsFiles(options_.files, options_.flag_prefix);
  if (!pem.ok()) return pem.status();
  absl::StatusOr<std::shared_ptr<const TlsContext>> made = TlsContext::Make(options_.side, *pem, options_.peer);
  if (made.ok()) return made;
  return absl::InvalidArgumentError("the files of --" + options_.flag_prefix +
                                    "-cert, -key and -ca: " + std::string(made.status().message()));
}

std::string TlsSource::StateOfFiles() const {
  return StateOfFile(options_.files.certificate) + " " + StateOfFile(options_.files.key) + " " +
         StateOfFile(options_.files.authority);
}

std::shared_ptr<const TlsContext> TlsSource::Current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

void TlsSource::Refresh(Instant now) {
  if (looked_at_ && now - *looked_at_ < kRefreshInterval) return;
  looked_at_ = now;
  std::string state = StateOfFiles();
  const bool settled = state == seen_;
  seen_ = std::move(state);
  if (!settled || seen_ == read_) return;
  read_ = seen_;
  absl::StatusOr<std::shared_ptr<const TlsContext>> context = Load();
  if (!context.ok()) {
    LogWarning("security", "TLS files cannot be used: those of before stay in use",
               {{"reason", std::string(context.status().message())}});
    return;
  }
  LogInfo("security", "TLS files have changed: new connections use them",
          {{"flags", "--" + options_.flag_prefix + "-*"}});
  const std::lock_guard lock(mutex_);
  current_ = *std::move(context);
}

}  // namespace hive
