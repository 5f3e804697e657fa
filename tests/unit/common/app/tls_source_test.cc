// Goal: files that are replaced are used once they belong together; those that make no sense change nothing.
// Method: real files; the clock is an argument.
#include "common/app/tls_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/common/app/certificates.h"

namespace hive {
namespace {

using testing::HasSubstr;

class TlsSourceTest : public testing::Test {
 protected:
  TlsSource::Options Options() {
    return {.files = {folder.Put("crt", first.pem), folder.Put("key", first.key_pem), folder.Put("ca", ours.pem())},
            .flag_prefix = "tls"};
  }
  // A look, when the next one is due.
  void Look(TlsSource& source) { source.Refresh(now += TlsSource::kRefreshInterval); }

  const Authority ours{"ours"};
  const Certificate first = ours.Issue("first");
  const Certificate second = ours.Issue("second");
  CertificateFolder folder;
  Instant now{};
};

TEST_F(TlsSourceTest, FilesAreReadAgainOnceTheyStayTheSame) {
  auto source = *TlsSource::Open(Options());
  const auto before = source->Current();
  Look(*source);
  Look(*source);
  EXPECT_EQ(source->Current(), before);

  folder.Put("crt", second.pem);
  Look(*source);
  folder.Put("key", second.key_pem);  // in time
  Look(*source);
  EXPECT_EQ(source->Current(), before);
  source->Refresh(now + TlsSource::kRefreshInterval / 2);
  EXPECT_EQ(source->Current(), before);
  Look(*source);
  EXPECT_NE(source->Current(), before);
}

TEST_F(TlsSourceTest, WhatMakesNoSenseChangesNothing) {
  auto source = *TlsSource::Open(Options());
  const auto before = source->Current();
  folder.Put("key", second.key_pem);
  for (int i = 0; i < 3; ++i) Look(*source);
  EXPECT_EQ(source->Current(), before);
  folder.Put("key", first.key_pem);
  for (int i = 0; i < 3; ++i) Look(*source);
  EXPECT_NE(source->Current(), before);
}

TEST_F(TlsSourceTest, ErrorsNameTheFlag) {
  const auto error = [](const TlsSource::Options& options) {
    return std::string(TlsSource::Open(options).status().message());
  };
  TlsSource::Options options = Options();
  EXPECT_EQ(error(options), "");
  options.files.key = folder.Put("other.key", second.key_pem);
  EXPECT_THAT(error(options), HasSubstr("--tls-key=" + options.files.key + ": is not the key of the certificate"));
  options.files.key = "";
  EXPECT_THAT(error(options), HasSubstr("--tls-key is missing"));
  options = Options();
  options.files.authority = folder.Put("none", "nothing");
  EXPECT_THAT(error(options), HasSubstr("--tls-ca=" + options.files.authority + ": holds no certificate"));
  options.files.authority = folder.path("missing");
  EXPECT_THAT(error(options), HasSubstr(": no such file"));
}

}  // namespace
}  // namespace hive
