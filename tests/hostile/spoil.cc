#include "tests/hostile/spoil.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/reflection.h>

#include <cstdint>
#include <functional>
#include <utility>

namespace hive::hostile {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr uint64_t kNumbers[] = {0,
                                 1,
                                 uint64_t{1} << 47,
                                 (uint64_t{1} << 48) - 1,
                                 uint64_t{1} << 48,
                                 (uint64_t{1} << 48) + 1,
                                 uint64_t{1} << 62,
                                 (uint64_t{1} << 62) + 1,
                                 7'258'118'400'000'000,  // 2200, in microseconds
                                 uint64_t{INT64_MAX},
                                 uint64_t{1} << 63,  // the lowest signed number
                                 UINT64_MAX};        // -1
const std::string kTexts[] = {"",   "another-hive",         "300.1.1.1",           "127.0.0.1",
                              "::", std::string("a\0b", 3), std::string(1000, 'x')};
constexpr int kLengths[] = {1000, 1001, 20'000};
constexpr int kEnumerators[] = {0, 1, 2, 3, 5, 99, -1};

// Walks `sound` and makes copies of the whole, in each of which one place is changed. `at` finds that place in a copy.
class Walk {
 public:
  Walk(const Message& whole, std::vector<Spoiled>& out) : whole_(whole), out_(out) {}

  using At = std::function<Message*(Message*)>;

  void Visit(const Message& part, const std::string& path, const At& at) {
    for (int i = 0; i < part.GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor* field = part.GetDescriptor()->field(i);
      const std::string name = path + field->name();
      if (field->is_repeated()) {
        VisitList(part, *field, name, at);
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        VisitMessage(part, *field, name, at);
      } else {
        VisitScalar(*field, name, at);
      }
    }
  }

 private:
  void Add(const std::string& what, const At& at, const std::function<void(Message*)>& change) {
    std::unique_ptr<Message> copy(whole_.New());
    copy->CopyFrom(whole_);
    change(at(copy.get()));
    out_.push_back({what, std::move(copy)});
  }

  void VisitMessage(const Message& part, const FieldDescriptor& field, const std::string& name, const At& at) {
    const auto* reflection = part.GetReflection();
    if (!reflection->HasField(part, &field)) return;
    Add(name + " left out", at, [&](Message* to) { reflection->ClearField(to, &field); });
    Visit(reflection->GetMessage(part, &field), name + ".", [&at, &field](Message* copy) {
      Message* parent = at(copy);
      return parent->GetReflection()->MutableMessage(parent, &field);
    });
  }

  void VisitList(const Message& part, const FieldDescriptor& field, const std::string& name, const At& at) {
    const auto* reflection = part.GetReflection();
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || reflection->FieldSize(part, &field) == 0) return;
    Add(name + " empty", at, [&](Message* to) { reflection->ClearField(to, &field); });
    for (const int length : kLengths) {
      Add(name + " with " + std::to_string(length), at, [&](Message* to) {
        const std::unique_ptr<Message> first(reflection->GetRepeatedMessage(*to, &field, 0).New());
        first->CopyFrom(reflection->GetRepeatedMessage(*to, &field, 0));
        while (reflection->FieldSize(*to, &field) < length) reflection->AddMessage(to, &field)->CopyFrom(*first);
      });
    }
    Visit(reflection->GetRepeatedMessage(part, &field, 0), name + "[0].", [&at, &field](Message* copy) {
      Message* parent = at(copy);
      return parent->GetReflection()->MutableRepeatedMessage(parent, &field, 0);
    });
  }

  void VisitScalar(const FieldDescriptor& field, const std::string& name, const At& at) {
    const auto number = [&](auto set) {
      for (const uint64_t n : kNumbers) {
        Add(name + " = " + std::to_string(n), at, [&](Message* to) { set(*to->GetReflection(), to, n); });
      }
    };
    using google::protobuf::Reflection;
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT64:
        return number(
            [&](const Reflection& r, Message* to, uint64_t n) { r.SetInt64(to, &field, static_cast<int64_t>(n)); });
      case FieldDescriptor::CPPTYPE_UINT64:
        return number([&](const Reflection& r, Message* to, uint64_t n) { r.SetUInt64(to, &field, n); });
      case FieldDescriptor::CPPTYPE_UINT32:
        return number(
            [&](const Reflection& r, Message* to, uint64_t n) { r.SetUInt32(to, &field, static_cast<uint32_t>(n)); });
      case FieldDescriptor::CPPTYPE_BOOL:
        return Add(name + " turned over", at, [&](Message* to) {
          const auto* r = to->GetReflection();
          r->SetBool(to, &field, !r->GetBool(*to, &field));
        });
      case FieldDescriptor::CPPTYPE_ENUM:
        for (const int value : kEnumerators) {
          Add(name + " = " + std::to_string(value), at,
              [&](Message* to) { to->GetReflection()->SetEnumValue(to, &field, value); });
        }
        return;
      case FieldDescriptor::CPPTYPE_STRING:
        for (const std::string& text : kTexts) {
          Add(name + " = \"" + text.substr(0, 20) + "\"", at,
              [&](Message* to) { to->GetReflection()->SetString(to, &field, text); });
        }
        return;
      default:
        return;
    }
  }

  const Message& whole_;
  std::vector<Spoiled>& out_;
};

}  // namespace

std::vector<Spoiled> EverySpoiling(const Message& sound) {
  std::vector<Spoiled> all;
  Walk(sound, all).Visit(sound, "", [](Message* copy) { return copy; });
  return all;
}

}  // namespace hive::hostile
