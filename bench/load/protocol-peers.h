// NATS (core, JetStream), MQTT 3.1.1 (QoS 0, QoS 1) and XMPP: as much of them as the scenarios need. On the brokers a
// sender publishes on its own subject under its conversation; everybody else in the conversation subscribes to the
// others' subjects.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "wire.h"

// Nobody receives its own messages: direct peers subscribe to the other's subject, a room's receivers to the room.
template <bool kDurable>
struct NatsProtocol {
  static constexpr bool kAcks = kDurable;
  static constexpr bool kHeartbeats = false;

  Bytes subject(const Peer& peer, bool own) {
    const bool first = peer.index % 2 == 0;
    if (!kDurable) return "r." + std::to_string(peer.conversation);
    return "s." + std::to_string(peer.conversation) + (first == own ? ".a" : ".b");
  }
  void hello(Peer& peer, Bytes& out) {
    out += "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}\r\n";
    if (kDurable) out += "SUB i." + std::to_string(peer.index) + ".* 1\r\n";
    out += "SUB " + subject(peer, false) + " 2\r\nPING\r\n";
  }
  void send(Peer& peer, uint32_t number, std::string_view text, Bytes& out) {
    out += "PUB " + subject(peer, true);
    if (kDurable) out += " i." + std::to_string(peer.index) + "." + std::to_string(number);
    out += " " + std::to_string(text.size()) + "\r\n";
    out.append(text);
    out += "\r\n";
  }
  void ping(Peer&, Bytes&) {}

  template <class Sink>
  long parse(Peer&, std::string_view bytes, Sink& sink) {
    size_t at = 0;
    for (;;) {
      const size_t end = bytes.find("\r\n", at);
      if (end == std::string_view::npos) break;
      const std::string_view line = bytes.substr(at, end - at);
      if (line.substr(0, 4) == "MSG ") {
        const size_t size = strtoul(line.data() + line.rfind(' ') + 1, nullptr, 10);
        if (bytes.size() < end + 2 + size + 2) break;
        const std::string_view body = bytes.substr(end + 2, size);
        at = end + 2 + size + 2;
        if (line[4] != 'i') {
          sink.message(0, body);
        } else if (body.find("\"error\"") != std::string_view::npos) {
          sink.refused(0, "JETSTREAM_ERROR", false);
        } else {
          const size_t dot = line.rfind('.', line.find(' ', 4));
          sink.acked_number(static_cast<uint32_t>(strtoul(line.data() + dot + 1, nullptr, 10)), 0, false);
        }
        continue;
      }
      if (line == "PING") sink.answer("PONG\r\n");
      else if (line == "PONG") sink.live(0);
      else if (line.substr(0, 4) == "-ERR") sink.closed(line);
      at = end + 2;
    }
    return static_cast<long>(at);
  }
};
using Nats = NatsProtocol<false>;
using JetStream = NatsProtocol<true>;

template <int kQos>
struct MqttProtocol {
  static constexpr bool kAcks = kQos == 1;
  static constexpr bool kHeartbeats = true;

  Bytes topic(const Peer& peer, bool own) {
    const bool first = peer.index % 2 == 0;
    if (kQos == 0) return "r" + std::to_string(peer.conversation);
    return "s" + std::to_string(peer.conversation) + (first == own ? "/a" : "/b");
  }
  static void packet(Bytes& out, char head, const Bytes& body) {
    out.push_back(head);
    put_varint(out, body.size());  // MQTT's "remaining length" is a varint of the same form.
    out += body;
  }
  static void put_text(Bytes& out, std::string_view text) {
    put_u16(out, static_cast<uint16_t>(text.size()));
    out.append(text);
  }
  void hello(Peer& peer, Bytes& out) {
    Bytes connect;
    put_text(connect, "MQTT");
    connect.push_back(4);
    connect.push_back(2);  // Clean session.
    put_u16(connect, 60);
    put_text(connect, "bench" + std::to_string(peer.index));
    packet(out, 0x10, connect);
    // MQTT 3.1.1 has no "not my own": at QoS 0 (a room) the publisher does not subscribe.
    if (kQos == 0 && peer.sends) return;
    Bytes subscribe;
    put_u16(subscribe, 1);
    put_text(subscribe, topic(peer, false));
    subscribe.push_back(kQos);
    packet(out, static_cast<char>(0x82), subscribe);
  }
  void send(Peer& peer, uint32_t number, std::string_view text, Bytes& out) {
    Bytes publish;
    put_text(publish, topic(peer, true));
    if (kQos == 1) put_u16(publish, static_cast<uint16_t>(number % 65535 + 1));
    publish.append(text);
    packet(out, static_cast<char>(0x30 | kQos << 1), publish);
  }
  void ping(Peer&, Bytes& out) { out.append("\xc0\0", 2); }

  template <class Sink>
  long parse(Peer& peer, std::string_view bytes, Sink& sink) {
    size_t at = 0;
    while (bytes.size() - at >= 2) {
      size_t body = at + 1, size = 0;
      bool whole = false;
      for (int shift = 0; body < bytes.size() && shift < 28; shift += 7) {
        const auto byte = static_cast<unsigned char>(bytes[body++]);
        size |= static_cast<size_t>(byte & 127) << shift;
        if (byte < 128) {
          whole = true;
          break;
        }
      }
      if (!whole || bytes.size() - body < size) break;
      const std::string_view payload = bytes.substr(body, size);
      const int type = static_cast<unsigned char>(bytes[at]) >> 4;
      at = body + size;
      if (type == 2 && kQos == 0 && peer.sends) sink.live(40000);
      if (type == 9) sink.live(40000);
      if (type == 4) sink.acked_ref(static_cast<uint16_t>(payload.size() < 2 ? 0 : read_u16(payload)), 0, false);
      if (type == 3 && payload.size() >= 2) {
        size_t text = 2u + read_u16(payload);
        if (kQos == 1 && payload.size() >= text + 2) {
          Bytes ack("\x40\x02", 2);
          ack.append(payload.substr(text, 2));
          sink.answer(ack);
          text += 2;
        }
        if (payload.size() >= text) sink.message(0, payload.substr(text));
      }
    }
    return static_cast<long>(at);
  }

 private:
  static uint16_t read_u16(std::string_view bytes) { return get_u16(bytes.data()); }
};
using Mqtt0 = MqttProtocol<0>;
using Mqtt1 = MqttProtocol<1>;

// Direct messages between the accounts "u<conversation>a" and "u<conversation>b". Each is followed by a request of stream
// management (XEP-0198), whose answer counts the stanzas that the server has handled: messages only, from number 0.
struct Xmpp {
  static constexpr bool kAcks = true;
  static constexpr bool kHeartbeats = false;

  void hello(Peer& peer, Bytes& out) {
    if (stanzas_.size() <= peer.index) stanzas_.resize(peer.index + 1);
    out += kStream;
    out += "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + peer.token + "</auth>";
  }
  void send(Peer& peer, uint32_t number, std::string_view text, Bytes& out) {
    out += "<message type='chat' to='u" + std::to_string(peer.conversation) + (peer.index % 2 == 0 ? "b" : "a");
    out += "@localhost' id='" + std::to_string(number) + "'><body>";
    out.append(text);  // Digits and letters: nothing to escape.
    out += "</body></message><r xmlns='urn:xmpp:sm:3'/>";
  }
  void ping(Peer&, Bytes&) {}

  template <class Sink>
  long parse(Peer& peer, std::string_view bytes, Sink& sink) {
    size_t at = 0;
    for (;;) {
      const size_t begin = bytes.find('<', at), end = bytes.find('>', at);
      if (begin == std::string_view::npos || end == std::string_view::npos) break;
      const std::string_view tag = bytes.substr(begin, end - begin);
      const std::string_view name = tag.substr(1, tag.find_first_of(" />", 1) - 1);
      if (name == "message") {
        const size_t close = bytes.find(kMessageEnd, end);
        if (close == std::string_view::npos) break;
        stanzas_[peer.index]++;
        message(tag, bytes.substr(end + 1, close - end - 1), sink);
        at = close + kMessageEnd.size();
        continue;
      }
      at = end + 1;
      if (name == "a") {
        sink.acked_number(static_cast<uint32_t>(strtoul(tag.data() + tag.find(" h='") + 4, nullptr, 10)) - 1, 0, false);
      } else if (name == "r") {
        sink.answer("<a xmlns='urn:xmpp:sm:3' h='" + std::to_string(stanzas_[peer.index]) + "'/>");
      } else if (name == "presence") {
        stanzas_[peer.index]++;
      } else if (name == "success") {
        sink.answer(kStream + Bytes("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"));
      } else if (name == "iq") {
        sink.answer("<presence/><enable xmlns='urn:xmpp:sm:3'/>");
      } else if (name == "enabled") {
        stanzas_[peer.index] = 0;
        sink.live(0);
      } else if (name == "failure" || name == "failed" || name == "stream:error") {
        sink.closed(bytes.substr(begin, 200));
      }
    }
    return static_cast<long>(at);
  }

 private:
  static constexpr const char* kStream =
      "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>";
  static constexpr std::string_view kMessageEnd = "</message>";
  std::vector<uint32_t> stanzas_;  // By connection: stanzas that the server has sent since stream management was enabled.

  template <class Sink>
  static void message(std::string_view tag, std::string_view inner, Sink& sink) {
    if (tag.find(" type='error'") != std::string_view::npos) return sink.refused(0, "XMPP_ERROR", false);
    const size_t body = inner.find("<body>"), end = inner.find("</body>");
    if (body == std::string_view::npos || end == std::string_view::npos) return;
    sink.message(0, inner.substr(body + 6, end - body - 6));
  }
};
