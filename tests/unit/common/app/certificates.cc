#include "tests/unit/common/app/certificates.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <fstream>
#include <memory>

#include "common/net/openssl.h"

namespace hive {
namespace {

template <typename T>
using Owned = OwnedOpenssl<T>;

constexpr std::chrono::seconds kAuthorityLives = std::chrono::hours(24);
constexpr std::chrono::seconds kClockSkew = std::chrono::hours(1);

std::string Contents(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}
Owned<BIO> Memory(const std::string& text = "") {
  Owned<BIO> bio(BIO_new(BIO_s_mem()));
  BIO_write(bio.get(), text.data(), static_cast<int>(text.size()));
  return bio;
}

void Extend(X509* certificate, int kind, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

// `issuer_key` null: signs itself, as an authority.
Certificate Make(const std::string& subject, const std::string& issuer, EVP_PKEY* issuer_key, std::chrono::seconds from,
                 std::chrono::seconds until) {
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  const Owned<X509> certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  static long serial = 0;
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), from.count());
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), until.count());
  const auto name = [](X509_NAME* to, const std::string& text) {
    X509_NAME_add_entry_by_txt(to, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.c_str()), -1, -1,
                               0);
  };
  name(X509_get_subject_name(certificate.get()), subject);
  const std::unique_ptr<X509_NAME, void (*)(X509_NAME*)> issuer_name(X509_NAME_new(), X509_NAME_free);
  name(issuer_name.get(), issuer);
  X509_set_issuer_name(certificate.get(), issuer_name.get());
  X509_set_pubkey(certificate.get(), key.get());
  Extend(certificate.get(), NID_basic_constraints, issuer_key == nullptr ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (issuer_key != nullptr) Extend(certificate.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  X509_sign(certificate.get(), issuer_key == nullptr ? key.get() : issuer_key, EVP_sha256());

  const Owned<BIO> pem = Memory();
  PEM_write_bio_X509(pem.get(), certificate.get());
  const Owned<BIO> key_pem = Memory();
  PEM_write_bio_PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {Contents(pem.get()), Contents(key_pem.get())};
}

}  // namespace

Authority::Authority(const std::string& name)
    : name_(name), self_(Make(name, name, nullptr, -kClockSkew, kAuthorityLives)) {}

Certificate Authority::Issue(const std::string& common_name, std::chrono::seconds valid_for) const {
  const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(Memory(self_.key_pem).get(), nullptr, nullptr, nullptr));
  return Make(common_name, name_, key.get(), valid_for - kClockSkew - std::chrono::hours(1), valid_for);
}

CertificateFolder::CertificateFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "hive-certificates-XXXXXX").string();
  folder_ = ::mkdtemp(pattern.data());
}

CertificateFolder::~CertificateFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string CertificateFolder::Put(const std::string& name, const std::string& text) const {
  std::ofstream(folder_ / (name + ".new"), std::ios::trunc) << text;
  std::filesystem::rename(folder_ / (name + ".new"), folder_ / name);
  return path(name);
}

}  // namespace hive
