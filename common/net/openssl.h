// What our code needs of OpenSSL beside TLS itself: owned objects, PEM, and errors in words.
//
// Thread rule: free functions; the queue of errors is the thread's own, and empty behind each of them: what is left in
// it would be taken for the next call's.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

namespace hive {

struct FreeOpenssl {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIO* bio) const { BIO_free(bio); }
};
template <typename T>
using OwnedOpenssl = std::unique_ptr<T, FreeOpenssl>;

// The certificates in PEM text, in their order; what else stands there is skipped.
std::vector<OwnedOpenssl<X509>> ParseCertificates(const std::string& pem);
// The first private key in PEM text; null: there is none, or it is encrypted.
OwnedOpenssl<EVP_PKEY> ParsePrivateKey(const std::string& pem);

// The first error that OpenSSL has noted in this thread, in its words ("certificate verify failed"); all are forgotten.
std::string TakeOpensslError();

}  // namespace hive
