// A queue in one contiguous piece of memory, with access to all of its elements: appended behind, taken in front.
//
// An idle connection must be small, and most of its queues are empty: an empty one is a pointer. What has grown large
// gives its memory back when it runs empty, and the rest when told to.
//
// Thread rule: value type. References and views last until the next call that changes it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>

namespace hive::proxy {

// `kKeptWhenEmpty`: elements whose room is kept when the queue runs empty, until Shed.
template <typename T, size_t kKeptWhenEmpty>
class Fifo {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  bool empty() const { return size() == 0; }
  size_t size() const { return block_ ? block_->end - block_->begin : 0; }
  // The elements in order; size() of them.
  const T* data() const { return block_ ? block_->items() + block_->begin : nullptr; }
  T& operator[](size_t i) { return block_->items()[block_->begin + i]; }
  const T& operator[](size_t i) const { return data()[i]; }
  T& front() { return (*this)[0]; }
  const T& front() const { return (*this)[0]; }
  T& back() { return (*this)[size() - 1]; }

  void push_back(const T& item) { Append(&item, 1); }

  // `items`: none of this queue's own.
  void Append(const T* items, size_t count) {
    if (count == 0) return;
    if (!block_ || block_->capacity - block_->end < count) MakeRoom(count);
    std::memcpy(block_->items() + block_->end, items, count * sizeof(T));
    block_->end += count;
  }

  // Requires count <= size().
  void pop_front(size_t count = 1) {
    if (!block_) return;
    block_->begin += count;
    if (block_->begin == block_->end) Clear();
  }

  void Clear() {
    if (!block_) return;
    block_->begin = block_->end = 0;
    if (block_->capacity > std::max(kKeptWhenEmpty, kLeast)) block_.reset();
  }

  // Gives the memory back that an empty queue keeps. False: there is none.
  bool Shed() {
    if (!block_ || !empty()) return false;
    block_.reset();
    return true;
  }

 private:
  // The elements stand behind it.
  struct Block {
    size_t capacity;
    size_t begin = 0;
    size_t end = 0;
    T* items() { return reinterpret_cast<T*>(this + 1); }
  };
  static_assert(alignof(T) <= alignof(Block));
  struct Free {
    void operator()(Block* block) const { ::operator delete(block); }
  };
  // Of the first piece: 128 bytes, or room for one.
  static constexpr size_t kLeast = std::max<size_t>((128 - sizeof(Block)) / sizeof(T), 1);

  // Moving what is left to the front costs at most as much as was taken since the last time.
  void MakeRoom(size_t count) {
    const size_t size = this->size();
    if (block_ && block_->begin >= size && block_->capacity - size >= count) {
      std::memmove(block_->items(), data(), size * sizeof(T));
    } else {
      const size_t capacity = std::max({size + count, block_ ? 2 * block_->capacity : 0, kLeast});
      void* const memory = ::operator new(sizeof(Block) + capacity * sizeof(T));
      std::unique_ptr<Block, Free> larger(new (memory) Block{capacity});
      if (size > 0) std::memcpy(larger->items(), data(), size * sizeof(T));
      block_ = std::move(larger);
    }
    block_->begin = 0;
    block_->end = size;
  }

  std::unique_ptr<Block, Free> block_;
};

}  // namespace hive::proxy
