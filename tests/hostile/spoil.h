// Absurd versions of a sound message: one for each field and each absurd value it may take.
//
// Thread rule: pure function.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <vector>

namespace hive::hostile {

struct Spoiled {
  std::string what;  // "claim.term = 18446744073709551615"
  std::unique_ptr<google::protobuf::Message> message;
};

// Whole numbers: both ends of their range, around the limits of terms, the years 1970 and 2200, one below zero. Text:
// none, another hive's name, no address, a thousand bytes. Messages: left out. Lists: none, and 1000, 1001 and 20,000
// entries. Enumerators: unspecified and unknown ones.
std::vector<Spoiled> EverySpoiling(const google::protobuf::Message& sound);

}  // namespace hive::hostile
