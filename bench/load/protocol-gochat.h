// GoChat's client protocol (docs/protocol.md) and the baselines' bare one, which has the same header.
//
//     bare:  JOIN (1, key) → JOINED (2);  SEND (5, ref, key, text) → SENT (6, ref, u32 seq);  MESSAGE (8, u32 seq, text)
#pragma once
#include <time.h>
#include <unistd.h>

#include "wire.h"

enum FrameType : uint8_t {
  HELLO = 1, WELCOME, PING, PONG, SEND, SENT, NACK, MESSAGE, RECEIPTS, REQUEST, RESPONSE, RESYNC, RESYNCED, CLOSE
};
constexpr size_t kHeaderBytes = 16;
constexpr uint64_t kProtocolVersion = 2;
constexpr uint32_t kMaxFrameBytes = 1 << 20;

inline size_t begin_frame(Bytes& out, FrameType type, uint16_t ref, uint64_t key) {
  const size_t at = out.size();
  put_u32(out, 0);
  out.push_back(static_cast<char>(type));
  out.push_back(0);
  put_u16(out, ref);
  put_u64(out, key);
  return at;
}
inline void end_frame(Bytes& out, size_t at) {
  const uint32_t length = __builtin_bswap32(static_cast<uint32_t>(out.size() - at - 4));
  memcpy(&out[at], &length, 4);
}
inline uint16_t ref_of(uint32_t number) { return static_cast<uint16_t>(number % 65535 + 1); }

// Calls on_frame(type, ref, payload) for each whole frame; returns the bytes used, or -1 if they are not a frame.
template <class OnFrame>
long each_frame(std::string_view bytes, OnFrame on_frame) {
  size_t at = 0;
  while (bytes.size() - at >= 4) {
    const uint32_t length = get_u32(bytes.data() + at);
    if (length < kHeaderBytes - 4 || length > kMaxFrameBytes) return -1;
    if (bytes.size() - at < 4 + length) break;
    const char* frame = bytes.data() + at;
    on_frame(static_cast<uint8_t>(frame[4]), get_u16(frame + 6),
             std::string_view(frame + kHeaderBytes, 4 + length - kHeaderBytes));
    at += 4 + length;
  }
  return static_cast<long>(at);
}

struct Gochat {
  static constexpr bool kAcks = true;
  static constexpr bool kHeartbeats = true;
  static constexpr const char* kWsPath = "/ws";
  static constexpr const char* kWsSubprotocol = "gochat.v2.proto";
  static constexpr int kWsOpcode = 2;
  // Client message ids must not repeat from run to run on the same conversation.
  uint64_t heartbeat_ms_ = 30000;
  Bytes run = std::to_string(getpid()) + "-" + std::to_string(time(nullptr) % 1000000);

  void hello(Peer& peer, Bytes& out) {
    const size_t at = begin_frame(out, HELLO, 0, 0);
    put_field(out, 1, kProtocolVersion);
    put_field(out, 2, kProtocolVersion);
    put_field(out, 3, peer.token);
    if (!peer.device.empty()) put_field(out, 4, std::string_view(peer.device));
    if (peer.session != 0) put_field(out, 5, peer.session);
    put_field(out, 6, std::string_view("gochat-bench"));
    end_frame(out, at);
  }
  void send(Peer& peer, uint32_t number, std::string_view text, Bytes& out) {
    const size_t at = begin_frame(out, SEND, ref_of(number), peer.conversation);
    char id[64];
    const int size = snprintf(id, sizeof id, "%s-%x", run.c_str(), number);
    put_field(out, 1, std::string_view(id, static_cast<size_t>(size)));
    const bool retracts = peer.kind == Kind::retract;
    if (!retracts) put_field(out, 2, text);
    if (retracts || peer.kind == Kind::edit) {
      put_field(out, 3, static_cast<uint64_t>(peer.kind));
      put_field(out, 4, peer.target);
    }
    if (peer.kind == Kind::reply) put_field(out, 6, peer.target);
    if (peer.kind == Kind::thread) put_field(out, 9, peer.target);
    // Its stamp goes with the reason.
    if (retracts) put_field(out, 7, text);
    end_frame(out, at);
  }
  void ping(Peer&, Bytes& out) { end_frame(out, begin_frame(out, PING, 1, 0)); }
  // Asks for what it has missed.
  static void sync(Bytes& out) {
    const size_t at = begin_frame(out, REQUEST, 1, 0);
    put_field(out, 1, std::string_view());
    end_frame(out, at);
  }

  template <class Sink>
  long parse(Peer& peer, std::string_view bytes, Sink& sink) {
    return each_frame(bytes, [&](uint8_t type, uint16_t ref, std::string_view payload) {
      Fields f(payload);
      switch (type) {
        case MESSAGE: {
          uint64_t seq = 0;
          std::string_view text;
          while (f.next()) {
            if (f.field == 1) seq = f.number;
            if (f.field == 6 || f.field == 14) {
              text = f.bytes;
              break;
            }
          }
          sink.message(seq, text);
          break;
        }
        case SENT: {
          uint64_t seq = 0;
          bool duplicate = false;
          while (f.next()) {
            if (f.field == 2) seq = f.number;
            if (f.field == 5) duplicate = f.number != 0;
          }
          sink.acked_ref(ref, seq, duplicate);
          break;
        }
        case NACK: {
          std::string_view code;
          bool retryable = false;
          while (f.next()) {
            if (f.field == 1) code = f.bytes;
            if (f.field == 3) retryable = f.number != 0;
          }
          sink.refused(ref, code, retryable);
          break;
        }
        case WELCOME: {
          uint64_t heartbeat_ms = 30000;
          const bool resumes = peer.session != 0;
          while (f.next()) {
            if (f.field == 2) peer.session = f.number;
            if (f.field == 8) heartbeat_ms = f.number;
          }
          // A reconnected client is served once it knows what it missed.
          if (!resumes) {
            sink.live(heartbeat_ms);
            break;
          }
          heartbeat_ms_ = heartbeat_ms;
          Bytes request;
          sync(request);
          sink.answer(request);
          break;
        }
        case RESPONSE: sink.live(heartbeat_ms_); break;
        case RESYNC: {
          Bytes answer;
          end_frame(answer, begin_frame(answer, RESYNCED, ref, 0));
          sink.answer(answer);
          sink.resync();
          break;
        }
        case CLOSE: {
          std::string_view code;
          while (f.next())
            if (f.field == 1) code = f.bytes;
          sink.closed(code);
          break;
        }
        default: break;
      }
    });
  }
};

struct Bare {
  static constexpr bool kAcks = true;
  static constexpr bool kHeartbeats = false;
  static constexpr const char* kWsPath = "/";
  static constexpr const char* kWsSubprotocol = "";
  static constexpr int kWsOpcode = 2;

  void hello(Peer& peer, Bytes& out) { end_frame(out, begin_frame(out, HELLO, 0, peer.conversation)); }
  void send(Peer& peer, uint32_t number, std::string_view text, Bytes& out) {
    const size_t at = begin_frame(out, SEND, ref_of(number), peer.conversation);
    out.append(text);
    end_frame(out, at);
  }
  void ping(Peer&, Bytes&) {}

  template <class Sink>
  long parse(Peer&, std::string_view bytes, Sink& sink) {
    return each_frame(bytes, [&](uint8_t type, uint16_t ref, std::string_view payload) {
      if (type == MESSAGE && payload.size() >= 4) sink.message(get_u32(payload.data()), payload.substr(4));
      if (type == SENT && payload.size() >= 4) sink.acked_ref(ref, get_u32(payload.data()), false);
      if (type == WELCOME) sink.live(0);
    });
  }
};
