// Goal: a call is believed from exactly those who know an accepted secret, for exactly the call it was made for, and an
// answer from exactly those who know the caller's; secrets are changed, and turned on, without a moment of mutual
// refusal. Method: both ends by hand; every single byte of a proof spoiled; every step of a rotation against every
// other.
#include "common/app/peer_proof.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "tests/unit/common/app/certificates.h"

namespace hive {
namespace {

using testing::HasSubstr;
using Outcome = ProofVerdict::Outcome;

const std::string kOld = "an old secret, long enough";
const std::string kNew = "a new secret, long enough, too";
const Endpoint kReceiver{"10.0.0.2", 7400};
constexpr char kSender[] = "10.0.0.1/77";

std::shared_ptr<const PeerSecrets> Secrets(const std::string& text) {
  auto secrets = ParsePeerSecrets(text);
  EXPECT_TRUE(secrets.ok()) << secrets.status();
  return std::make_shared<const PeerSecrets>(secrets.ok() ? *secrets : PeerSecrets{});
}
bool IsReceiver(const Endpoint& dialled) { return dialled == kReceiver; }
ProofVerdict Check(const PeerSecrets& secrets, const std::string& value, std::string_view method = "Greet") {
  return CheckProof(secrets, method, value, IsReceiver);
}

TEST(PeerProof, BothEndsKnowTheSecret) {
  const auto secrets = Secrets(kOld);
  const CallProof proof(secrets, "Greet", kSender, kReceiver);
  const ProofVerdict verdict = Check(*secrets, proof.value());
  EXPECT_EQ(verdict.outcome, Outcome::kProven);
  EXPECT_EQ(verdict.sender, kSender);
  EXPECT_TRUE(proof.AnsweredBy(verdict.answer));
  EXPECT_FALSE(proof.AnsweredBy(""));
  EXPECT_FALSE(proof.AnsweredBy(proof.value()));
  EXPECT_EQ(proof.value().find(kOld), std::string::npos);
}

TEST(PeerProof, EveryCallHasItsOwn) {
  const auto secrets = Secrets(kOld);
  const CallProof one(secrets, "Greet", kSender, kReceiver);
  const CallProof two(secrets, "Greet", kSender, kReceiver);
  EXPECT_NE(one.value(), two.value());
  EXPECT_FALSE(two.AnsweredBy(Check(*secrets, one.value()).answer));  // of an earlier call
}

TEST(PeerProof, IsGoodForNoOtherCallReceiverOrSecret) {
  const auto secrets = Secrets(kOld);
  const std::string value = CallProof(secrets, "Greet", kSender, kReceiver).value();
  EXPECT_EQ(Check(*secrets, value, "Yield").outcome, Outcome::kWrong);
  EXPECT_EQ(Check(*Secrets(kNew), value).outcome, Outcome::kWrong);
  EXPECT_EQ(CheckProof(*secrets, "Greet", value, [](const Endpoint&) { return false; }).outcome,
            Outcome::kOtherReceiver);
  EXPECT_EQ(Check(*secrets, "").outcome, Outcome::kMissing);
}

TEST(PeerProof, NoByteMayChange) {
  const auto secrets = Secrets(kOld);
  const std::string value = CallProof(secrets, "Greet", kSender, kReceiver).value();
  for (size_t i = 0; i < value.size(); ++i) {
    for (const char other : {' ', '0', '1', 'f', 'x', '\0', '\xff'}) {
      std::string spoiled = value;
      if (spoiled[i] == other) continue;
      spoiled[i] = other;
      EXPECT_FALSE(Check(*secrets, spoiled).accepted()) << spoiled;
    }
    EXPECT_FALSE(Check(*secrets, value.substr(0, i)).accepted());
    EXPECT_FALSE(Check(*secrets, value.substr(i + 1)).accepted());
  }
  for (const std::string& tail : {std::string(" "), std::string(" 1"), std::string("0"), std::string(100000, 'a')}) {
    EXPECT_EQ(Check(*secrets, value + tail).accepted(), false);
  }
  EXPECT_EQ(Check(*secrets, std::string(100000, ' ')).outcome, Outcome::kMalformed);
}

// A blank more in one field and one less in the next must not look the same.
TEST(PeerProof, FieldsDoNotRunIntoOneAnother) {
  const auto secrets = Secrets(kOld);
  const std::string value = CallProof(secrets, "Greet", "10.0.0.1/771", kReceiver).value();
  std::string moved = value;
  moved.replace(moved.find("/771 "), 5, "/77 1");
  EXPECT_FALSE(Check(*secrets, moved).accepted());
}

// Both directions of a call from a member with `caller`'s file to one with `receiver`'s.
bool Talks(const std::string& caller, const std::string& receiver) {
  const auto theirs = Secrets(receiver);
  const CallProof proof(Secrets(caller), "Greet", kSender, kReceiver);
  const ProofVerdict verdict = Check(*theirs, proof.value());
  return verdict.accepted() && proof.AnsweredBy(verdict.answer);
}
bool BothTalk(const std::string& a, const std::string& b) { return Talks(a, b) && Talks(b, a); }

TEST(PeerProof, ASecretIsRotatedInThreeSteps) {
  const std::string steps[] = {kOld, kOld + "\n" + kNew, kNew + "\n" + kOld, kNew};
  for (size_t i = 0; i + 1 < std::size(steps); ++i) EXPECT_TRUE(BothTalk(steps[i], steps[i + 1])) << i;
  EXPECT_FALSE(Talks(kOld, kNew));
  EXPECT_FALSE(Talks(kNew, kOld));
  EXPECT_FALSE(Talks(steps[0], steps[3]));
}

TEST(PeerProof, ASecretIsTurnedOnInThreeSteps) {
  const std::string steps[] = {"none", "none\n" + kNew, kNew + "\nnone", kNew};
  for (size_t i = 0; i + 1 < std::size(steps); ++i) EXPECT_TRUE(BothTalk(steps[i], steps[i + 1])) << i;
  EXPECT_FALSE(Talks("none", kNew));
  EXPECT_FALSE(Talks(kNew, "none")) << "whoever has no secret cannot answer for one";
}

TEST(PeerSecrets, ReadsLines) {
  const auto secrets = Secrets("# the members' secret\n\n  " + kNew + " \r\n\n" + kOld);
  EXPECT_EQ(secrets->accepted.size(), 2u);
  EXPECT_EQ(secrets->used, Secrets(kNew)->used);
  EXPECT_FALSE(secrets->accepts_unproven);
  EXPECT_TRUE(Secrets("none")->accepts_unproven);
  EXPECT_FALSE(Secrets("none\n" + kNew)->used);
}

TEST(PeerSecrets, RefusesWhatProtectsNobody) {
  const auto fault = [](const std::string& text) {
    const auto secrets = ParsePeerSecrets(text);
    return secrets.ok() ? "" : std::string(secrets.status().message());
  };
  EXPECT_EQ(fault(""), "holds no secret");
  EXPECT_EQ(fault("\n# " + kOld + "\n"), "holds no secret");
  EXPECT_THAT(fault(kOld + "\nshort"), HasSubstr("line 2 is shorter than 16 bytes"));
  EXPECT_THAT(fault(std::string(2000, 'x')), HasSubstr("line 1 is longer"));
  std::string many;
  for (int i = 0; i < 17; ++i) many += kOld + std::to_string(i) + "\n";
  EXPECT_THAT(fault(many), HasSubstr("line 17 is one secret too many"));
}

TEST(PeerSecrets, APasswordGivesOneThatIsNotThePassword) {
  EXPECT_TRUE(PeerSecretsOfPassword("").accepts_unproven);
  EXPECT_EQ(PeerSecretsOfPassword("a"), PeerSecretsOfPassword("a"));
  EXPECT_NE(PeerSecretsOfPassword("a").used, PeerSecretsOfPassword("b").used);
  EXPECT_FALSE(PeerSecretsOfPassword("a").accepts_unproven);
  EXPECT_NE(PeerSecretsOfPassword(kOld).used, Secrets(kOld)->used);  // a file's line is another thing
}

TEST(PeerSecretSource, FollowsItsFile) {
  const CertificateFolder folder;
  const std::string file = folder.Put("secret", kOld);
  const auto source = PeerSecretSource::Open(file, "");
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(*(*source)->Current(), *Secrets(kOld));

  Instant now(Seconds(100));
  const auto refresh = [&] { (*source)->Refresh(now += PeerSecretSource::kRefreshInterval); };
  folder.Put("secret", kNew + "\n" + kOld);
  refresh();
  EXPECT_EQ(*(*source)->Current(), *Secrets(kNew + "\n" + kOld));
  folder.Put("secret", "short");
  refresh();
  EXPECT_EQ(*(*source)->Current(), *Secrets(kNew + "\n" + kOld)) << "nonsense changes nothing";
  std::filesystem::remove(file);
  refresh();
  EXPECT_EQ(*(*source)->Current(), *Secrets(kNew + "\n" + kOld)) << "nor does a file that is away";
  folder.Put("secret", kNew);
  (*source)->Refresh(now + Millis(1));
  EXPECT_EQ(*(*source)->Current(), *Secrets(kNew + "\n" + kOld)) << "not more often than promised";
  refresh();
  EXPECT_EQ(*(*source)->Current(), *Secrets(kNew));
}

TEST(PeerSecretSource, WithoutAFileThePasswordDecides) {
  const CertificateFolder folder;
  const auto source = PeerSecretSource::Open("", folder.Put("password", "sesame\n"));
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(*(*source)->Current(), PeerSecretsOfPassword("sesame"));
  folder.Put("password", "mellon\n");
  (*source)->Refresh(Instant(Seconds(1)));
  EXPECT_EQ(*(*source)->Current(), PeerSecretsOfPassword("mellon"));
}

TEST(PeerSecretSource, MistakesAreOneLineThatNamesTheFile) {
  const CertificateFolder folder;
  const auto fault = [](const std::string& file, const std::string& password_file = "") {
    const auto source = PeerSecretSource::Open(file, password_file);
    return source.ok() ? "" : std::string(source.status().message());
  };
  EXPECT_EQ(fault("/no/such"), "--peer-secret-file=/no/such: no such file");
  EXPECT_THAT(fault(folder.Put("secret", "short")), HasSubstr("secret: line 1 is shorter"));
  EXPECT_THAT(fault("", "/no/such"), HasSubstr("--redis-password-file=/no/such: no such file"));
}

}  // namespace
}  // namespace hive
