// The bytes that load.cpp shares among its protocols: big-endian numbers, protobuf fields, and the text of a message.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

using Bytes = std::string;

inline void put_u16(Bytes& out, uint16_t v) {
  out.push_back(static_cast<char>(v >> 8));
  out.push_back(static_cast<char>(v));
}
inline void put_u32(Bytes& out, uint32_t v) {
  put_u16(out, static_cast<uint16_t>(v >> 16));
  put_u16(out, static_cast<uint16_t>(v));
}
inline void put_u64(Bytes& out, uint64_t v) {
  put_u32(out, static_cast<uint32_t>(v >> 32));
  put_u32(out, static_cast<uint32_t>(v));
}
inline uint16_t get_u16(const char* p) {
  uint16_t v;
  memcpy(&v, p, 2);
  return __builtin_bswap16(v);
}
inline uint32_t get_u32(const char* p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return __builtin_bswap32(v);
}

inline void put_varint(Bytes& out, uint64_t v) {
  for (; v >= 128; v >>= 7) out.push_back(static_cast<char>(v | 128));
  out.push_back(static_cast<char>(v));
}
inline void put_field(Bytes& out, int field, uint64_t v) {
  put_varint(out, static_cast<uint64_t>(field) << 3);
  put_varint(out, v);
}
inline void put_field(Bytes& out, int field, std::string_view v) {
  put_varint(out, static_cast<uint64_t>(field) << 3 | 2);
  put_varint(out, v.size());
  out.append(v);
}

// Walks the fields of a protobuf message; stops at the end or at the first byte that does not parse.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : p_(bytes.data()), end_(p_ + bytes.size()) {}
  int field = 0;
  uint64_t number = 0;
  std::string_view bytes;

  bool next() {
    uint64_t tag;
    if (p_ == end_ || !varint(tag)) return false;
    field = static_cast<int>(tag >> 3);
    switch (tag & 7) {
      case 0: return varint(number);
      case 1: return skip(8);
      case 5: return skip(4);
      case 2: {
        uint64_t size;
        if (!varint(size) || size > static_cast<uint64_t>(end_ - p_)) return false;
        bytes = {p_, size};
        p_ += size;
        return true;
      }
      default: return false;
    }
  }

 private:
  bool varint(uint64_t& v) {
    v = 0;
    for (int shift = 0; shift < 64 && p_ < end_; shift += 7) {
      const auto byte = static_cast<unsigned char>(*p_++);
      v |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return true;
    }
    return false;
  }
  bool skip(long size) {
    if (end_ - p_ < size) return false;
    p_ += size;
    return true;
  }
  const char* p_;
  const char* end_;
};

// A message's text begins with what its receivers need: when it was due, who sent it, and its number.
struct Stamp {
  int64_t at_ns;
  uint32_t sender;
  uint32_t number;
};
constexpr size_t kStampBytes = 32;

inline void write_hex(char* to, uint64_t v, int digits) {
  static const char* const hex = "0123456789abcdef";
  for (int i = digits - 1; i >= 0; i--, v >>= 4) to[i] = hex[v & 15];
}
inline uint64_t read_hex(const char* from, int digits) {
  uint64_t v = 0;
  for (int i = 0; i < digits; i++) {
    const char c = from[i];
    v = v << 4 | static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return v;
}
inline void write_stamp(char* text, const Stamp& stamp) {
  write_hex(text, static_cast<uint64_t>(stamp.at_ns), 16);
  write_hex(text + 16, stamp.sender, 8);
  write_hex(text + 24, stamp.number, 8);
}
inline bool read_stamp(std::string_view text, Stamp& stamp) {
  if (text.size() < kStampBytes) return false;
  stamp.at_ns = static_cast<int64_t>(read_hex(text.data(), 16));
  stamp.sender = static_cast<uint32_t>(read_hex(text.data() + 16, 8));
  stamp.number = static_cast<uint32_t>(read_hex(text.data() + 24, 8));
  return true;
}

// What a send is; the numbers are the protocol's.
enum class Kind : uint8_t { text = 0, edit = 1, retract = 2, thread = 254, reply = 255 };

// A protocol's state of one connection.
struct Peer {
  uint32_t index = 0;
  uint64_t conversation = 0;
  bool sends = false;
  std::string token, device;
  uint64_t session = 0;  // The session to resume; 0: none yet.
  Kind kind = Kind::text;  // Of the next send.
  uint64_t target = 0;     // Seq of the message that it is about; 0: none.
  uint64_t live_parts = 0;  // For the protocol: how much of the handshake is done.
};
