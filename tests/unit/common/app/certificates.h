// Certificates for tests, made on the spot: an authority of one's own, and what it signs.
//
// Thread rule: value types.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

namespace hive {

struct Certificate {
  std::string pem;
  std::string key_pem;
};

class Authority {
 public:
  // `name` is its common name. Two with the same name are two authorities.
  explicit Authority(const std::string& name);

  const std::string& pem() const { return self_.pem; }

  // A certificate for both ends of a connection. `valid_for`: from now on; negative: has expired.
  Certificate Issue(const std::string& common_name, std::chrono::seconds valid_for = std::chrono::hours(1)) const;

 private:
  std::string name_;
  Certificate self_;
};

// A folder that goes with the test.
class CertificateFolder {
 public:
  CertificateFolder();
  ~CertificateFolder();
  CertificateFolder(const CertificateFolder&) = delete;
  CertificateFolder& operator=(const CertificateFolder&) = delete;

  // Puts a file there, in one step, and returns its path.
  std::string Put(const std::string& name, const std::string& text) const;
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

 private:
  std::filesystem::path folder_;
};

}  // namespace hive
