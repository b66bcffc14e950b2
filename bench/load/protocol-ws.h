// WebSocket (RFC 6455) around another protocol, and Socket.IO (protocol 5 on Engine.IO 4), which runs on it.
#pragma once
#include <cstdlib>

#include "wire.h"

constexpr int kWsText = 1, kWsBinary = 2, kWsClose = 8, kWsPing = 9;

// A client's messages are masked; the mask 0 is valid and costs the server the same as any other.
inline void put_ws(Bytes& out, int opcode, std::string_view payload) {
  out.push_back(static_cast<char>(0x80 | opcode));
  if (payload.size() < 126) {
    out.push_back(static_cast<char>(0x80 | payload.size()));
  } else if (payload.size() < 65536) {
    out.push_back(static_cast<char>(0x80 | 126));
    put_u16(out, static_cast<uint16_t>(payload.size()));
  } else {
    out.push_back(static_cast<char>(0x80 | 127));
    put_u64(out, payload.size());
  }
  put_u32(out, 0);
  out.append(payload);
}

// Each message that Inner writes at once becomes one WebSocket message, and each incoming one is passed to it whole.
template <class Inner>
class OverWs {
 public:
  static constexpr bool kAcks = Inner::kAcks;
  static constexpr bool kHeartbeats = Inner::kHeartbeats;

  void hello(Peer& peer, Bytes& out) {
    peer.live_parts = 0;
    out += "GET " + Bytes(Inner::kWsPath) +
           " HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    if (*Inner::kWsSubprotocol != 0) out += "Sec-WebSocket-Protocol: " + Bytes(Inner::kWsSubprotocol) + "\r\n";
    out += "\r\n";
  }
  void send(Peer& peer, uint32_t number, std::string_view text, Bytes& out) {
    scratch_.clear();
    inner_.send(peer, number, text, scratch_);
    put_ws(out, Inner::kWsOpcode, scratch_);
  }
  void ping(Peer& peer, Bytes& out) {
    scratch_.clear();
    inner_.ping(peer, scratch_);
    if (!scratch_.empty()) put_ws(out, Inner::kWsOpcode, scratch_);
  }

  template <class Sink>
  long parse(Peer& peer, std::string_view bytes, Sink& sink) {
    size_t at = 0;
    Wrapped<Sink> wrapped{sink};
    if (peer.live_parts == 0) {
      const size_t end = bytes.find("\r\n\r\n");
      if (end == std::string_view::npos) return 0;
      if (bytes.substr(9, 3) != "101") return -1;
      at = end + 4;
      peer.live_parts = 1;
      Bytes hello;
      inner_.hello(peer, hello);
      if (!hello.empty()) wrapped.answer(hello);
    }
    while (bytes.size() - at >= 2) {
      const int opcode = bytes[at] & 15;
      uint64_t size = bytes[at + 1] & 127;
      size_t body = at + 2;
      if (size == 126) {
        if (bytes.size() - at < 4) break;
        size = get_u16(bytes.data() + body);
        body += 2;
      } else if (size == 127) {
        if (bytes.size() - at < 10) break;
        size = static_cast<uint64_t>(get_u32(bytes.data() + body)) << 32 | get_u32(bytes.data() + body + 4);
        body += 8;
      }
      if (bytes.size() - body < size) break;
      const std::string_view payload = bytes.substr(body, size);
      at = body + size;
      if (opcode == kWsClose) sink.closed("WebSocket");
      else if (opcode != kWsPing && inner_.parse(peer, payload, wrapped) != static_cast<long>(size)) return -1;
    }
    return static_cast<long>(at);
  }

 private:
  template <class Sink>
  struct Wrapped {
    Sink& sink;
    void live(uint64_t heartbeat_ms) { sink.live(heartbeat_ms); }
    void acked_ref(uint16_t ref, uint64_t seq, bool duplicate) { sink.acked_ref(ref, seq, duplicate); }
    void acked_number(uint32_t number, uint64_t seq, bool duplicate) { sink.acked_number(number, seq, duplicate); }
    void refused(uint16_t ref, std::string_view code, bool retryable) { sink.refused(ref, code, retryable); }
    void message(uint64_t seq, std::string_view text) { sink.message(seq, text); }
    void resync() { sink.resync(); }
    void closed(std::string_view code) { sink.closed(code); }
    void answer(const Bytes& bytes) {
      Bytes message;
      put_ws(message, Inner::kWsOpcode, bytes);
      sink.answer(message);
    }
  };

  Inner inner_;
  Bytes scratch_;
};

// bench/peers/socket-io.ts: join(conversation), m(text) with an acknowledgement; others get m(text).
struct SocketIo {
  static constexpr bool kAcks = true;
  static constexpr bool kHeartbeats = false;
  static constexpr const char* kWsPath = "/socket.io/?EIO=4&transport=websocket";
  static constexpr const char* kWsSubprotocol = "";
  static constexpr int kWsOpcode = kWsText;

  void hello(Peer&, Bytes&) {}
  void send(Peer&, uint32_t number, std::string_view text, Bytes& out) {
    // Acknowledgement 0 is the join's.
    out += "42" + std::to_string(number + 1) + "[\"m\",\"";
    out.append(text);
    out += "\"]";
  }
  void ping(Peer&, Bytes&) {}

  template <class Sink>
  long parse(Peer& peer, std::string_view packet, Sink& sink) {
    const std::string_view kind = packet.substr(0, 2);
    if (packet == "2") sink.answer("3");
    else if (packet[0] == '0') sink.answer("40");
    else if (kind == "40") sink.answer("420[\"join\",\"" + std::to_string(peer.conversation) + "\"]");
    else if (kind == "42") sink.message(0, packet.substr(8, packet.size() - 10));
    else if (kind == "43") {
      const uint32_t id = static_cast<uint32_t>(strtoul(packet.data() + 2, nullptr, 10));
      if (id == 0) sink.live(0);
      else sink.acked_number(id - 1, 0, false);
    }
    return static_cast<long>(packet.size());
  }
};
