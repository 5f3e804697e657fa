#include "common/app/tls_files.h"

#include <openssl/x509.h>

#include <vector>

#include "common/app/small_file.h"
#include "common/net/openssl.h"

namespace hive {
namespace {

// More than any chain or bundle of a hive's; a file beyond it is the wrong file.
constexpr size_t kMaxPemBytes = 1 << 20;

absl::Status Refuse(const std::string& flag, const std::string& file, std::string_view why) {
  return absl::InvalidArgumentError(flag + "=" + file + ": " + std::string(why));
}

absl::Status ReadNamed(const std::string& flag, const std::string& file, std::string& text) {
  if (file.empty()) return absl::OkStatus();
  absl::StatusOr<std::string> read = ReadSmallFile(file, kMaxPemBytes);
  if (!read.ok()) return Refuse(flag, file, std::string(read.status().message()));
  text = *std::move(read);
  return absl::OkStatus();
}

}  // namespace

void DeclareTlsFlags(FlagSet& flags, std::string_view prefix, TlsFiles& files, std::string_view use) {
  const std::string name(prefix);
  flags.Add(name + "-cert", &files.certificate, "PEM file with this process's certificate, for " + std::string(use));
  flags.Add(name + "-key", &files.key, "PEM file with that certificate's key");
  flags.Add(name + "-ca", &files.authority, "PEM file with the authority that signs the others' certificates");
}

absl::StatusOr<TlsPem> ReadTlsFiles(const TlsFiles& files, std::string_view flag_prefix) {
  const std::string prefix = "--" + std::string(flag_prefix);
  const std::string cert_flag = prefix + "-cert", key_flag = prefix + "-key", ca_flag = prefix + "-ca";
  if (files.certificate.empty() != files.key.empty()) {
    return absl::InvalidArgumentError((files.key.empty() ? key_flag : cert_flag) +
                                      " is missing: a certificate and its key belong together");
  }
  TlsPem pem;
  if (absl::Status status = ReadNamed(cert_flag, files.certificate, pem.certificate); !status.ok()) return status;
  if (absl::Status status = ReadNamed(key_flag, files.key, pem.key); !status.ok()) return status;
  if (absl::Status status = ReadNamed(ca_flag, files.authority, pem.authority); !status.ok()) return status;

  const std::vector<OwnedOpenssl<X509>> chain = ParseCertificates(pem.certificate);
  const OwnedOpenssl<EVP_PKEY> key = ParsePrivateKey(pem.key);
  constexpr std::string_view kNoCertificate = "holds no certificate in PEM form";
  if (!files.certificate.empty()) {
    if (chain.empty()) return Refuse(cert_flag, files.certificate, kNoCertificate);
    if (!key) return Refuse(key_flag, files.key, "holds no private key in PEM form, or an encrypted one");
    if (X509_check_private_key(chain[0].get(), key.get()) != 1) {
      TakeOpensslError();
      return Refuse(key_flag, files.key, "is not the key of the certificate in " + files.certificate);
    }
  }
  if (!files.authority.empty() && ParseCertificates(pem.authority).empty())
    return Refuse(ca_flag, files.authority, kNoCertificate);
  return pem;
}

}  // namespace hive
