// Attackers: connections that ignore all limits. They wait for no answer, ignore refusals, and reconnect at once when
// the server ends them. One thread, epoll, loopback only. Starts with the first line of stdin, stops at its end, and
// prints one JSON line: what was sent and what was answered.
//
//     flood     SENDs: a burst far above what an account may send at once, then just below what it may send a second
//     nonmember the same to a conversation that the account is not in
//     repeated  the same with one client_msg_id
//     sync      REQUEST sync with 10,000 unknown cursors: a burst, then about 1 MiB a second
//     half      frames of the largest length in small pieces, which stop before their end
//     churn     connect, log in, close
//     password  POST /auth/login with wrong passwords
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <vector>

#include "protocol-gochat.h"

// What a connection sends: frames at once, and then per second.
struct Pace {
  double burst, per_second;
};
// By default an account may send 250 at once and 1,000 a second.
constexpr Pace kSends{9'900, 990};
// In bytes: 10 MiB at once and 1 MiB a second.
constexpr Pace kSyncs{60, 6};
constexpr uint32_t kCursors = 10'000;
constexpr uint32_t kHalfFrameBytes = 262'144, kPieceBytes = 1024, kPiecesATick = 64;
constexpr int64_t kHoldNs = 250'000'000;
constexpr int kTickMs = 5;
// Most bytes that wait here while a socket is full.
constexpr size_t kMaxWaitingBytes = 1 << 18;
constexpr uint32_t kStdin = UINT32_MAX;

enum class Attack { flood, nonmember, repeated, sync, half, churn, password };
static const std::map<std::string, Attack> kKinds{
    {"flood", Attack::flood}, {"nonmember", Attack::nonmember}, {"repeated", Attack::repeated}, {"sync", Attack::sync},
    {"half", Attack::half},   {"churn", Attack::churn},       {"password", Attack::password}};

static int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

[[noreturn]] static void fail(const std::string& why) {
  fprintf(stderr, "abuse: %s\n", why.c_str());
  exit(1);
}

struct Connection : Peer {
  explicit Connection(const Peer& peer) : Peer(peer) {}
  int fd = -1;
  bool live = false, asked = false;
  Bytes in, out;
  size_t out_at = 0;
  int64_t live_ns = 0, close_ns = 0;
  double sent = 0;
};

class Abuse {
 public:
  Abuse(Attack kind, int port, const std::vector<Peer>& peers)
      : kind_(kind), port_(port), peers_(peers), c_(peers.begin(), peers.end()), epoll_(epoll_create1(0)) {
    if (kind_ == Attack::sync) build_sync();
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = kStdin;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, 0, &event) != 0) fail("stdin must be a pipe");
  }

  void run() {
    while (!over_) {
      for (Connection& c : c_) act(c);
      epoll_event events[256];
      const int n = epoll_wait(epoll_, events, 256, kTickMs);
      for (int i = 0; i < n; i++) {
        if (events[i].data.u32 != kStdin) {
          Connection& c = c_[events[i].data.u32];
          if (c.fd >= 0) read(c);
          continue;
        }
        char end[16];
        over_ = ::read(0, end, sizeof end) <= 0;
      }
    }
    print();
  }

  // What a protocol reports of the connection that is being read.
  void live(uint64_t) {
    if (at_->live) {
      answers_["RESPONSE"]++;
      return;
    }
    at_->live = true;
    at_->live_ns = now_ns();
    answers_["WELCOME"]++;
  }
  void acked_ref(uint16_t, uint64_t, bool duplicate) { answers_[duplicate ? "SENT, a repetition" : "SENT"]++; }
  void refused(uint16_t, std::string_view code, bool) { answers_["NACK " + std::string(code)]++; }
  void message(uint64_t, std::string_view) { answers_["MESSAGE"]++; }
  void answer(const Bytes& bytes) { at_->out.append(bytes); }
  void resync() { answers_["RESYNC"]++; }
  void closed(std::string_view code) { answers_["CLOSE " + std::string(code)]++; }

 private:
  void act(Connection& c) {
    if (c.fd < 0) open(c);
    if (c.live) say(c);
    if (c.fd >= 0) flush(c);
  }

  void say(Connection& c) {
    switch (kind_) {
      case Attack::flood:
      case Attack::nonmember:
      case Attack::repeated:
        while (may_send(c, kSends)) protocol_.send(c, kind_ == Attack::repeated ? c.index : number_++, text_, c.out);
        break;
      case Attack::sync:
        while (may_send(c, kSyncs)) c.out.append(sync_);
        break;
      case Attack::half:
        say_half(c);
        break;
      case Attack::password:
        if (!c.asked) log_in(c);
        break;
      case Attack::churn:
        reopen(c);
        break;
    }
  }

  bool may_send(Connection& c, Pace pace) {
    const double seconds = static_cast<double>(now_ns() - c.live_ns) / 1e9;
    if (c.sent >= pace.burst + pace.per_second * seconds || c.out.size() - c.out_at >= kMaxWaitingBytes) return false;
    c.sent++;
    sent_++;
    return true;
  }

  void say_half(Connection& c) {
    if (c.sent == 0) {
      c.sent = 1;
      sent_++;
      const size_t at = begin_frame(c.out, SEND, 1, c.conversation);
      c.out.append(kHalfFrameBytes - kHeaderBytes, 'x');
      end_frame(c.out, at);
      c.out.pop_back();
    } else if (c.out.empty()) {
      if (c.close_ns == 0) c.close_ns = now_ns() + kHoldNs;
      if (now_ns() >= c.close_ns) reopen(c);
    }
  }

  void log_in(Connection& c) {
    c.asked = true;
    sent_++;
    const Bytes body = "{\"name\":\"" + c.token + "\",\"password\":\"wrong-" + std::to_string(number_++) + "\"}";
    c.out.append("POST /auth/login HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: " +
                 std::to_string(body.size()) + "\r\n\r\n" + body);
  }

  void open(Connection& c) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port_));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c.fd < 0) fail(std::string("socket: ") + strerror(errno));
    int one = 1;
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS) {
      answers_[std::string("connect: ") + strerror(errno)]++;
      return reset(c);
    }
    connects_++;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = c.index;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &event);
    if (kind_ == Attack::password) c.live = true;
    else protocol_.hello(c, c.out);
  }

  void reset(Connection& c) {
    ::close(c.fd);
    c = Connection(peers_[c.index]);
  }
  void reopen(Connection& c) {
    reset(c);
    open(c);
  }

  void read(Connection& c) {
    const ssize_t size = ::read(c.fd, buffer_.data(), buffer_.size());
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) {
      answers_["ended by the server"]++;
      reopen(c);
      return flush(c);
    }
    at_ = &c;
    c.in.append(buffer_.data(), static_cast<size_t>(size));
    const long used = kind_ == Attack::password ? parse_http(c) : protocol_.parse(c, c.in, *this);
    if (used < 0) fail("bytes that are no frame");
    c.in.erase(0, static_cast<size_t>(used));
    if (c.live && (kind_ == Attack::churn || kind_ == Attack::password)) say(c);
    flush(c);
  }

  long parse_http(Connection& c) {
    static const std::string kLength = "content-length: ";
    const size_t head = c.in.find("\r\n\r\n"), length = c.in.find(kLength);
    if (head == Bytes::npos) return 0;
    if (length == Bytes::npos || length > head) fail("an HTTP answer without its length: " + c.in);
    const size_t whole = head + 4 + strtoul(c.in.c_str() + length + kLength.size(), nullptr, 10);
    if (c.in.size() < whole) return 0;
    answers_[c.in.substr(9, 3)]++;
    c.asked = false;
    return static_cast<long>(whole);
  }

  void flush(Connection& c) {
    // Half frames are sent in pieces that the server reads one by one, as far as it keeps up.
    const bool pieces = kind_ == Attack::half && c.live;
    for (uint32_t n = 0; c.out_at < c.out.size() && (!pieces || n < kPiecesATick); n++) {
      const size_t most = c.out.size() - c.out_at;
      const ssize_t size = send(c.fd, c.out.data() + c.out_at, pieces ? std::min<size_t>(most, kPieceBytes) : most, MSG_NOSIGNAL);
      // A permanent failure shows when reading.
      if (size <= 0) break;
      c.out_at += static_cast<size_t>(size);
    }
    if (c.out_at < c.out.size()) return;
    c.out.clear();
    c.out_at = 0;
  }

  void build_sync() {
    std::mt19937_64 random(1);
    Bytes cursors;
    for (uint32_t i = 0; i < kCursors; i++) {
      Bytes cursor;
      put_field(cursor, 1, (random() >> 2) | 1);
      put_field(cursor, 2, 1);
      put_field(cursors, 1, std::string_view(cursor));
    }
    const size_t at = begin_frame(sync_, REQUEST, 1, 0);
    put_field(sync_, 1, std::string_view(cursors));
    end_frame(sync_, at);
  }

  void print() const {
    printf("{\"connects\":%llu,\"sent\":%llu,\"answers\":{", static_cast<unsigned long long>(connects_),
           static_cast<unsigned long long>(sent_));
    const char* comma = "";
    for (const auto& [what, count] : answers_) {
      printf("%s\"%s\":%llu", comma, what.c_str(), static_cast<unsigned long long>(count));
      comma = ",";
    }
    printf("}}\n");
  }

  const Attack kind_;
  const int port_;
  const std::vector<Peer>& peers_;
  std::vector<Connection> c_;
  const int epoll_;
  Gochat protocol_;
  std::vector<char> buffer_ = std::vector<char>(1 << 18);
  const Bytes text_ = Bytes(kStampBytes, 'x');
  Bytes sync_;
  Connection* at_ = nullptr;
  bool over_ = false;
  uint32_t number_ = 0;
  uint64_t connects_ = 0, sent_ = 0;
  std::map<std::string, uint64_t> answers_;
};

// Arguments: KIND PORT PLAN, in which each line is a connection: the conversation, and the token or name.
int main(int argc, char** argv) {
  if (argc != 4) fail("usage: abuse KIND PORT PLAN");
  const auto kind = kKinds.find(argv[1]);
  if (kind == kKinds.end()) fail(std::string("there is no kind ") + argv[1]);
  std::ifstream file(argv[3]);
  std::vector<Peer> peers;
  for (Peer peer; file >> peer.conversation >> peer.token; peers.push_back(peer))
    peer.index = static_cast<uint32_t>(peers.size());
  if (peers.empty()) fail(std::string("no connections in the plan ") + argv[3]);
  Abuse abuse(kind->second, atoi(argv[2]), peers);
  char begin[16];
  if (read(0, begin, sizeof begin) > 0) abuse.run();
}
