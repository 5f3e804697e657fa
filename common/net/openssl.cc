#include "common/net/openssl.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

namespace hive {
namespace {

// Instead of OpenSSL's, which would ask on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

OwnedOpenssl<BIO> Bytes(const std::string& text) {
  return OwnedOpenssl<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

}  // namespace

std::vector<OwnedOpenssl<X509>> ParseCertificates(const std::string& pem) {
  std::vector<OwnedOpenssl<X509>> certificates;
  const OwnedOpenssl<BIO> text = Bytes(pem);
  while (X509* next = PEM_read_bio_X509(text.get(), nullptr, NoPassphrase, nullptr)) certificates.emplace_back(next);
  ERR_clear_error();  // that nothing follows is an error, too
  return certificates;
}

OwnedOpenssl<EVP_PKEY> ParsePrivateKey(const std::string& pem) {
  OwnedOpenssl<EVP_PKEY> key(PEM_read_bio_PrivateKey(Bytes(pem).get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  return key;
}

std::string TakeOpensslError() {
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  std::string text = reason != nullptr ? reason : "unknown error";
  ERR_clear_error();
  return text;
}

}  // namespace hive
