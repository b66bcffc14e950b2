// The load generator: one thread, epoll, loopback only. It holds all connections of a run, keeps W messages of each
// sender in flight (closed loop) or sends at a fixed rate (open loop; latency counts from the intended time), and
// checks what arrives: nothing lost, twice or out of order. Prints one JSON line; "phase NAME" lines go to stderr.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "histogram.h"
#include "protocol-gochat.h"
#include "protocol-peers.h"
#include "protocol-ws.h"

struct Options {
  std::string protocol, scenario, plan;
  std::vector<int> ports;
  uint32_t window = 1, text_bytes = 128;
  // Texts sent in a closed loop of `window` before anything is measured: as fast as the servers can, and no faster.
  uint64_t first_sends = 0;
  // What is sent after them: text, edit, retract, reply, thread (a reply in one), or mix, of which 90 % are texts.
  std::string entries = "text";
  double rate = 0, seconds = 5, warmup = 1, drain = 10;
  uint32_t connecting = 128;
  // idle: this many connect first and are held for as long as the others are later.
  uint32_t first = 0;
  // A connection that the server ends reconnects; the run is over when all are back or the time is up.
  bool reconnect = false;
};

static int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

[[noreturn]] static void fail(const std::string& why) {
  fprintf(stderr, "load: %s\n", why.c_str());
  exit(1);
}

// A message in flight; a sender's ring holds the newest ones by number.
struct Flight {
  int64_t at_ns = 0;
  uint32_t delivered = 0;
  bool acked = true, done = true;
  Kind kind = Kind::text;
  uint64_t target = 0;
};

// What a receiver has of one sender's messages, which are numbered from 0.
struct Heard {
  uint32_t due = 0;
  uint64_t count = 0, sum = 0;
};

struct Connection : Peer {
  std::vector<uint64_t> conversations;  // It sends to these in turn; all connections of the first one have the same list.
  int fd = -1;
  bool live = false, closed = false, dirty = false, wants_write = false;
  bool asks = false;  // It must send its sync again.
  Bytes in, out;
  int64_t began_ns = 0, sent_ns = 0;
  uint32_t slot = 0;       // Its index among the senders of its conversation.
  uint32_t receivers = 0;  // Number of other connections that get what it sends.
  uint32_t next = 0, oldest = 0, in_flight = 0;
  int failures = 0;
  std::vector<Flight> ring;
  // About the seqs it has seen, of acks and messages together; acks and messages each ascend.
  uint64_t min_seq = UINT64_MAX, max_seq = 0, seqs = 0, seq_sum = 0, last_ack_seq = 0, last_message_seq = 0;
  std::vector<Heard> heard;  // By sender's slot.
  std::deque<uint64_t> texts;  // Seqs of its own that can be edited, retracted and answered.
  size_t turn = 0;             // Of the next one to be edited or answered.
};

struct Conversation {
  std::vector<uint32_t> connections;
  uint32_t senders = 0;
  uint64_t acked = 0;
};

template <class Protocol>
class Load {
 public:
  explicit Load(const Options& options) : o_(options) {
    read_plan();
    // A ring must hold all that a sender may have in flight; far more in the open loop, which does not wait.
    uint32_t size = o_.rate > 0 ? 1024 : 64;
    while (size < o_.window * 8) size *= 2;
    ring_mask_ = size - 1;
    for (uint32_t i : senders_) c_[i].ring.resize(size);
    text_.assign(std::max<size_t>(o_.text_bytes, kStampBytes), 'x');
    epoll_ = epoll_create1(0);
  }

  int run() {
    if (o_.first > 0) {
      connect_all(o_.first);
      turn_until(now_ns() + static_cast<int64_t>(o_.seconds * 1e9));
      phase("first");
    }
    connect_all(c_.size());
    if (o_.reconnect) return outlive();
    if (o_.scenario != "idle") {
      phase("settle");
      turn_until(now_ns() + 300'000'000);
    }
    if (o_.first_sends > 0) send_first();
    const int64_t begin = now_ns();
    measure_from_ = begin + static_cast<int64_t>(o_.warmup * 1e9);
    measure_to_ = measure_from_ + static_cast<int64_t>(o_.seconds * 1e9);
    sending_ = !senders_.empty();
    if (sending_ && o_.rate == 0)
      for (uint32_t i : senders_) top_up(c_[i]);
    open_from_ = begin;
    turn_until(measure_from_);
    phase("measure");
    turn_until(measure_to_);
    phase("measured");
    sending_ = false;
    drain();
    check();
    print();
    return errors_.empty() ? 0 : 1;
  }

  // What a protocol reports of the connection that is being read.
  void live(uint64_t heartbeat_ms) {
    if (heartbeat_ms > 0) heartbeat_ns_ = static_cast<int64_t>(heartbeat_ms) * 1'000'000;
    if (at_->live) return;
    at_->live = true;
    at_->failures = 0;
    live_++;
    connect_.record(now_ns() - at_->began_ns);
  }

  void acked_ref(uint16_t ref, uint64_t seq, bool duplicate) {
    // The newest number with this ref; at most a ring of them can be in flight.
    const uint32_t newest = at_->next - 1;
    acked_number(newest - (newest % 65535 + 65535 - (ref - 1u)) % 65535, seq, duplicate);
  }

  void acked_number(uint32_t number, uint64_t seq, bool duplicate) {
    Connection& c = *at_;
    if (c.next - number > ring_mask_ + 1 || number >= c.next) return error("ack of what was not sent");
    Flight& flight = c.ring[number & ring_mask_];
    if (flight.acked) return error("second ack of one message");
    if (duplicate && resyncs_ == 0) error("ack says duplicate without a resend");
    flight.acked = true;
    if (o_.entries != "text" && (flight.kind == Kind::text || flight.kind == Kind::reply)) c.texts.push_back(seq);
    acked_total_++;
    conversations_[c.conversations[0]].acked++;
    acked_ += measuring();
    if (counts(flight.at_ns)) ack_.record(read_ns_ - flight.at_ns);
    order(c, c.last_ack_seq, seq);
    settle(c, flight);
  }

  void refused(uint16_t, std::string_view code, bool retryable) {
    refused_[std::string(code)]++;
    if (code == "RESYNC_REQUIRED") return;
    // The sync of a reconnected client was refused: it asks again a little later.
    if (o_.reconnect && retryable && !at_->live) {
      at_->asks = true;
      return wait(*at_, 500'000'000);
    }
    if (!retryable) error("NACK " + std::string(code));
  }

  void message(uint64_t seq, std::string_view text) {
    Connection& c = *at_;
    Stamp stamp;
    if (!read_stamp(text, stamp) || stamp.sender >= c_.size()) return error("a message that nobody sent");
    if (c_[stamp.sender].conversations[0] != c.conversations[0] || c_[stamp.sender].slot >= c.heard.size())
      return error("a message of another conversation");
    delivered_total_++;
    delivered_ += measuring();
    if (counts(stamp.at_ns)) delivery_.record(read_ns_ - stamp.at_ns);
    Connection& sender = c_[stamp.sender];
    Heard& heard = c.heard[sender.slot];
    // Across conversations there is no order; a duplicate would show in the count.
    if (stamp.number < heard.due && c.conversations.size() == 1) error("a sender's messages twice or out of order");
    heard.due = std::max(heard.due, stamp.number + 1);
    heard.count++;
    heard.sum += stamp.number;
    order(c, c.last_message_seq, seq);
    if (sender.next - stamp.number > ring_mask_ + 1) return;
    Flight& flight = sender.ring[stamp.number & ring_mask_];
    flight.delivered++;
    settle(sender, flight);
  }

  void answer(const Bytes& bytes) { write(*at_, bytes); }

  void resync() {
    resyncs_++;
    Connection& c = *at_;
    for (uint32_t n = c.oldest; n < c.next; n++) {
      const Flight& flight = c.ring[n & ring_mask_];
      if (!flight.acked) emit(c, n, flight.at_ns);
    }
  }

  void closed(std::string_view code) {
    if (o_.reconnect) refused_[std::string(code)]++;
    else error("CLOSE " + std::string(code));
  }

 private:
  void read_plan() {
    std::ifstream file(o_.plan);
    if (!file) fail("cannot read the plan " + o_.plan);
    std::string line;
    while (std::getline(file, line)) {
      std::istringstream words(line);
      Connection c;
      std::string ids;
      if (!(words >> ids >> c.sends >> c.token)) fail("the plan has a bad line: " + line);
      for (size_t at = 0; at < ids.size(); at = ids.find(',', at) == std::string::npos ? ids.size() : ids.find(',', at) + 1)
        c.conversations.push_back(strtoull(ids.c_str() + at, nullptr, 10));
      c.conversation = c.conversations[0];
      c.index = static_cast<uint32_t>(c_.size());
      if (o_.reconnect) c.device = "d" + std::to_string(c.index);
      c_.push_back(std::move(c));
    }
    if (c_.empty()) fail("the plan names no connection");
    for (Connection& c : c_) {
      Conversation& conversation = conversations_[c.conversation];
      conversation.connections.push_back(c.index);
      if (!c.sends) continue;
      c.slot = conversation.senders++;
      senders_.push_back(c.index);
    }
    for (Connection& c : c_) {
      const Conversation& conversation = conversations_[c.conversation];
      c.receivers = static_cast<uint32_t>(conversation.connections.size()) - 1;
      c.heard.resize(conversation.senders);
    }
  }

  void connect_all(size_t count) {
    phase("connect");
    const int64_t begin = now_ns(), deadline = begin + 150'000'000'000;
    size_t started = live_;
    while (live_ < count) {
      while (started < count && started - live_ < o_.connecting) open(c_[started++]);
      turn(now_ns() + 10'000'000);
      reopen();
      if (!errors_.empty()) fail("while connecting: " + errors_.begin()->first);
      if (now_ns() > deadline) fail(std::to_string(live_) + " connections live after 150 s, wanted " + std::to_string(count));
    }
    connect_s_ = static_cast<double>(now_ns() - begin) / 1e9;
    phase("connected");
  }

  // Holds all connections until the server ends them, then reconnects each as a client does: after a random wait that
  // doubles with each failure, with what it needs to resume, and with a sync. Prints "lost" and "served".
  int outlive() {
    const int64_t deadline = now_ns() + static_cast<int64_t>(o_.seconds * 1e9);
    bool lost = false;
    while (now_ns() < deadline) {
      turn(now_ns() + 5'000'000);
      if (!lost && live_ < c_.size()) {
        lost = true;
        phase("lost");
      }
      reopen();
      if (lost && live_ == c_.size()) break;
    }
    if (lost && live_ == c_.size()) phase("served");
    else error("connections not back in time", c_.size() - live_);
    print();
    return errors_.empty() ? 0 : 1;
  }

  void reopen() {
    const int64_t now = now_ns();
    while (!waiting_.empty() && waiting_.begin()->first <= now) {
      Connection& c = c_[waiting_.begin()->second];
      waiting_.erase(waiting_.begin());
      if (c.fd < 0) {
        open(c);
      } else if constexpr (std::is_same_v<Protocol, Gochat>) {
        if (!std::exchange(c.asks, false)) continue;
        Gochat::sync(c.out);
        touch(c);
      }
    }
  }

  void come_back(Connection& c) {
    if (c.live) live_--;
    ::close(c.fd);
    c.fd = -1;
    c.live = c.wants_write = c.asks = false;
    c.in.clear();
    c.out.clear();
    c.failures = c.failures < 6 ? c.failures + 1 : 6;
    wait(c, std::min<int64_t>(10'000'000'000, 100'000'000ll << c.failures));
  }

  // Opens the connection, or lets it ask again, after a random time.
  void wait(const Connection& c, int64_t most) {
    waiting_.emplace(now_ns() + static_cast<int64_t>(random_() % static_cast<uint64_t>(most)), c.index);
  }

  void open(Connection& c) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(o_.ports[c.index % o_.ports.size()]));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c.fd < 0) fail(std::string("socket: ") + strerror(errno));
    int one = 1;
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS) {
      if (o_.reconnect) return come_back(c);
      fail(std::string("connect: ") + strerror(errno));
    }
    c.began_ns = now_ns();
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT;
    event.data.u32 = c.index;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &event);
    c.wants_write = true;
    protocol_.hello(c, c.out);
  }

  // Handles events until that time.
  void turn_until(int64_t then) {
    while (now_ns() < then) turn(then);
  }

  void turn(int64_t then) {
    const int64_t before = now_ns();
    int64_t wait = std::clamp<int64_t>(then - before, 0, 50'000'000);
    if (sending_ && !closed()) wait = std::clamp<int64_t>(open_due() - before, 0, wait);
    const timespec timeout{wait / 1'000'000'000, wait % 1'000'000'000};
    epoll_event events[512];
    const int n = epoll_pwait2(epoll_, events, 512, &timeout, nullptr);
    read_ns_ = now_ns();
    for (int i = 0; i < n; i++) {
      Connection& c = c_[events[i].data.u32];
      if (c.closed || c.fd < 0) continue;
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read(c);
      if (events[i].events & EPOLLOUT) flush(c);
    }
    if (sending_ && !closed()) send_due();
    if (Protocol::kHeartbeats) beat();
    for (size_t i = 0; i < dirty_.size(); i++) {
      c_[dirty_[i]].dirty = false;
      flush(c_[dirty_[i]]);
    }
    dirty_.clear();
  }

  void read(Connection& c) {
    const ssize_t size = ::read(c.fd, buffer_.data(), buffer_.size());
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) {
      if (o_.reconnect) return come_back(c);
      c.closed = true;
      epoll_ctl(epoll_, EPOLL_CTL_DEL, c.fd, nullptr);
      return error("connection closed by the server");
    }
    read_ns_ = now_ns();
    reads_ += measuring();
    at_ = &c;
    std::string_view bytes(buffer_.data(), static_cast<size_t>(size));
    if (!c.in.empty()) {
      c.in.append(bytes);
      bytes = c.in;
    }
    const long used = protocol_.parse(c, bytes, *this);
    if (used < 0) {
      c.closed = true;
      epoll_ctl(epoll_, EPOLL_CTL_DEL, c.fd, nullptr);
      return error("bytes that are no frame");
    }
    if (!c.in.empty()) c.in.erase(0, static_cast<size_t>(used));
    else c.in.assign(bytes.substr(static_cast<size_t>(used)));
  }

  void write(Connection& c, const Bytes& bytes) {
    c.out.append(bytes);
    touch(c);
  }
  void touch(Connection& c) {
    if (c.dirty) return;
    c.dirty = true;
    dirty_.push_back(c.index);
  }

  void flush(Connection& c) {
    if (c.closed || c.fd < 0) return;
    if (!c.out.empty()) {
      const ssize_t size = ::send(c.fd, c.out.data(), c.out.size(), MSG_NOSIGNAL);
      if (size < 0 && errno != EAGAIN && errno != ENOTCONN && errno != EINTR) {
        if (o_.reconnect) return come_back(c);
        c.closed = true;
        return error(std::string("send: ") + strerror(errno));
      }
      if (size > 0) c.out.erase(0, static_cast<size_t>(size));
      c.sent_ns = read_ns_;
    }
    if (c.wants_write == !c.out.empty()) return;
    c.wants_write = !c.out.empty();
    epoll_event event{};
    event.events = EPOLLIN | (c.wants_write ? static_cast<uint32_t>(EPOLLOUT) : 0u);
    event.data.u32 = c.index;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, c.fd, &event);
  }

  void emit(Connection& c, uint32_t number, int64_t at_ns) {
    write_stamp(&text_[0], {at_ns, c.index, number});
    // The two of a pair are half an interval apart.
    const size_t many = c.conversations.size();
    if (many > 1) c.conversation = c.conversations[(number + c.slot * many / 2) % many];
    const Flight& flight = c.ring[number & ring_mask_];
    c.kind = flight.kind;
    c.target = flight.target;
    protocol_.send(c, number, text_, c.out);
    touch(c);
  }

  Kind next_kind(const Connection& c) const {
    if (sending_first_ || o_.entries == "text") return Kind::text;
    if (o_.entries == "edit") return Kind::edit;
    if (o_.entries == "retract") return Kind::retract;
    if (o_.entries == "reply") return Kind::reply;
    if (o_.entries == "thread") return Kind::thread;
    // Of 50 sends 2 edits, 2 replies and a retraction; each connection is at another place.
    switch ((c.next + c.index) % 50) {
      case 0: case 25: return Kind::edit;
      case 10: case 35: return Kind::reply;
      case 20: return Kind::retract;
      default: return Kind::text;
    }
  }

  // Chooses the message that a send is about: a text of its own, each in its turn.
  void aim(Connection& c, Flight& flight) {
    if (c.texts.empty()) {
      error("no text left to be edited, retracted or answered");
      flight.kind = Kind::text;
    } else if (flight.kind == Kind::retract) {
      flight.target = c.texts.front();
      c.texts.pop_front();
    } else {
      flight.target = c.texts[c.turn++ % c.texts.size()];
    }
  }

  void send_next(Connection& c, int64_t at_ns) {
    Flight& flight = c.ring[c.next & ring_mask_];
    flight = {at_ns, 0, !Protocol::kAcks, false, next_kind(c), 0};
    if (flight.kind != Kind::text) aim(c, flight);
    c.in_flight++;
    sent_total_++;
    emit(c, c.next++, at_ns);
  }

  // Closed loop: a direct message leaves the window when it is acknowledged, a room's when all have it as well.
  void settle(Connection& c, Flight& flight) {
    const bool everyone = o_.scenario == "room" || !Protocol::kAcks;
    if (flight.done || !flight.acked || (everyone && flight.delivered < c.receivers)) return;
    flight.done = true;
    c.in_flight--;
    while (c.oldest < c.next && c.ring[c.oldest & ring_mask_].done) c.oldest++;
    if (sending_ && closed()) top_up(c);
  }
  void top_up(Connection& c) {
    // Refusals leave gaps: never wrap the ring over messages still in flight.
    while (c.in_flight < o_.window && c.next - c.oldest <= ring_mask_ && !(sending_first_ && sent_total_ >= o_.first_sends))
      send_next(c, now_ns());
  }

  bool closed() const { return o_.rate == 0 || sending_first_; }

  // Everything that is measured later has been used once: conversations, connections, code.
  void send_first() {
    phase("first_sends");
    sending_ = sending_first_ = true;
    for (uint32_t i : senders_) top_up(c_[i]);
    const int64_t deadline = now_ns() + 60'000'000'000;
    while (acked_total_ < o_.first_sends && now_ns() < deadline) turn(now_ns() + 5'000'000);
    sending_ = sending_first_ = false;
    if (acked_total_ < o_.first_sends) error("first sends without an ack in time", o_.first_sends - acked_total_);
  }

  int64_t open_due() const {
    return open_from_ + static_cast<int64_t>(static_cast<double>(open_sent_) * 1e9 / o_.rate);
  }
  void send_due() {
    // A sender whose ring is full delays the schedule; the intended times stay, so the wait is counted.
    const int64_t now = now_ns();
    for (int64_t due = open_due(); due <= now; due = open_due()) {
      Connection& c = c_[senders_[open_sent_ % senders_.size()]];
      if (c.next - c.oldest > ring_mask_) {
        held_up_++;
        return;
      }
      send_next(c, due);
      open_sent_++;
    }
  }

  void beat() {
    if (heartbeat_ns_ == 0 || read_ns_ < next_beat_ns_) return;
    next_beat_ns_ = read_ns_ + 200'000'000;
    for (Connection& c : c_) {
      if (!c.live || c.closed || read_ns_ - c.sent_ns < heartbeat_ns_ * 8 / 10) continue;
      protocol_.ping(c, c.out);
      c.sent_ns = read_ns_;
      touch(c);
    }
  }

  // A seq that arrives ahead makes a real client ask for those in between: allowed, but counted.
  void order(Connection& c, uint64_t& last_of_kind, uint64_t seq) {
    if (seq == 0 || c.conversations.size() > 1) return;
    if (seq <= last_of_kind) error("seq twice or out of order");
    last_of_kind = seq;
    if (c.seqs > 0 && seq > c.max_seq + 1) gaps_++;
    c.min_seq = std::min(c.min_seq, seq);
    c.max_seq = std::max(c.max_seq, seq);
    c.seqs++;
    c.seq_sum += seq;
  }

  void drain() {
    const int64_t deadline = now_ns() + static_cast<int64_t>(o_.drain * 1e9);
    while (now_ns() < deadline && !complete()) turn(std::min(deadline, now_ns() + 5'000'000));
  }
  bool complete() {
    if (Protocol::kAcks && acked_total_ < sent_total_) return false;
    return delivered_total_ >= expected();
  }
  uint64_t expected() const {
    uint64_t sum = 0;
    for (uint32_t i : senders_) sum += static_cast<uint64_t>(c_[i].next) * c_[i].receivers;
    return sum;
  }

  void check() {
    if (Protocol::kAcks && acked_total_ != sent_total_) error("sends without an ack", sent_total_ - acked_total_);
    if (delivered_total_ != expected()) {
      const uint64_t all = expected();
      error(delivered_total_ < all ? "deliveries missing" : "deliveries too many",
            delivered_total_ < all ? all - delivered_total_ : delivered_total_ - all);
    }
    for (const auto& [key, conversation] : conversations_) {
      (void)key;
      for (uint32_t i : conversation.connections) {
        const Connection& c = c_[i];
        if (c.seqs > 0 && !contiguous(c, conversation.acked)) error("a connection's seqs do not add up to the acks");
        for (uint32_t j : conversation.connections)
          if (j != i && c_[j].sends && !has_all(c.heard[c_[j].slot], c_[j].next)) error("a receiver lacks messages");
      }
    }
    if (sent_total_ == 0 && o_.scenario != "idle") error("nothing was sent");
  }

  static bool has_all(const Heard& heard, uint64_t sent) {
    return heard.count == sent && heard.due == sent && (sent == 0 || heard.sum * 2 == sent * (sent - 1));
  }

  // All seqs of a run exactly once: as many as acks, in a range of that length, with that range's sum.
  static bool contiguous(const Connection& c, uint64_t acked) {
    const uint64_t range = c.max_seq - c.min_seq + 1;
    return range == acked && c.seqs == acked && c.seq_sum * 2 == (c.min_seq + c.max_seq) * range;
  }

  void error(const std::string& what, uint64_t count = 1) { errors_[what] += count; }
  // Whether to record a message's latency. In the open loop, that of each message that was due while it
  // was measured, however late the answer: none that a stall delays to the end is left out.
  bool counts(int64_t at_ns) const {
    return closed() ? measuring() : at_ns >= measure_from_ && at_ns < measure_to_;
  }
  bool measuring() const { return read_ns_ >= measure_from_ && read_ns_ < measure_to_; }
  static void phase(const char* name) { fprintf(stderr, "phase %s\n", name); }

  static void print_counts(const char* name, const std::map<std::string, uint64_t>& counts) {
    printf(",\"%s\":{", name);
    const char* comma = "";
    for (const auto& [what, count] : counts) {
      std::string safe;
      for (char ch : what) if (ch >= ' ' && ch != '"' && ch != '\\') safe += ch;
      printf("%s\"%s\":%llu", comma, safe.c_str(), static_cast<unsigned long long>(count));
      comma = ",";
    }
    printf("}");
  }
  static void print_histogram(const char* name, const Histogram& h) {
    printf(",\"%s\":{\"count\":%llu,\"p50\":%.4f,\"p90\":%.4f,\"p99\":%.4f,\"p999\":%.4f,\"max\":%.4f}", name,
           static_cast<unsigned long long>(h.count()), h.quantile_ms(.5), h.quantile_ms(.9), h.quantile_ms(.99),
           h.quantile_ms(.999), h.max_ms());
  }
  void print() const {
    printf("{\"protocol\":\"%s\",\"scenario\":\"%s\",\"connections\":%zu,\"senders\":%zu,\"window\":%u,\"rate\":%.1f,"
           "\"text_bytes\":%zu,\"seconds\":%.3f,\"acked\":%llu,\"delivered\":%llu,\"acked_per_s\":%.1f,"
           "\"delivered_per_s\":%.1f,\"connect_s\":%.3f,\"acked_in_all\":%llu,\"resyncs\":%llu,\"held_up\":%llu,\"gaps\":%llu,\"frames_per_read\":%.2f",
           o_.protocol.c_str(), o_.scenario.c_str(), c_.size(), senders_.size(), o_.window, o_.rate, text_.size(),
           o_.seconds, static_cast<unsigned long long>(acked_), static_cast<unsigned long long>(delivered_),
           static_cast<double>(acked_) / o_.seconds, static_cast<double>(delivered_) / o_.seconds, connect_s_,
           static_cast<unsigned long long>(acked_total_),
           static_cast<unsigned long long>(resyncs_), static_cast<unsigned long long>(held_up_),
           static_cast<unsigned long long>(gaps_),
           static_cast<double>(acked_ + delivered_) / static_cast<double>(std::max<uint64_t>(1, reads_)));
    print_histogram("ack_ms", ack_);
    print_histogram("delivery_ms", delivery_);
    print_histogram("connect_ms", connect_);
    print_counts("refused", refused_);
    print_counts("errors", errors_);
    printf("}\n");
  }

  const Options& o_;
  Protocol protocol_;
  std::vector<Connection> c_;
  std::unordered_map<uint64_t, Conversation> conversations_;
  std::vector<uint32_t> senders_, dirty_;
  std::vector<char> buffer_ = std::vector<char>(1 << 18);
  Bytes text_;
  Connection* at_ = nullptr;
  int epoll_ = -1;
  std::multimap<int64_t, uint32_t> waiting_;  // Connections by the time of their next attempt.
  std::mt19937_64 random_{1};
  uint32_t ring_mask_ = 0;
  bool sending_ = false, sending_first_ = false;
  size_t live_ = 0;
  double connect_s_ = 0;
  int64_t read_ns_ = 0, measure_from_ = INT64_MAX, measure_to_ = 0, open_from_ = 0;
  int64_t heartbeat_ns_ = 0, next_beat_ns_ = 0;
  uint64_t open_sent_ = 0, sent_total_ = 0, acked_total_ = 0, delivered_total_ = 0;
  uint64_t acked_ = 0, delivered_ = 0, resyncs_ = 0, held_up_ = 0, gaps_ = 0, reads_ = 0;
  Histogram ack_, delivery_, connect_;
  std::map<std::string, uint64_t> errors_, refused_;
};

template <class Protocol>
static int run(const Options& options) {
  Load<Protocol> load(options);
  return load.run();
}

static double number(const std::string& flag, const char* value) {
  char* end;
  const double v = strtod(value, &end);
  if (*value == 0 || *end != 0 || v < 0) fail(flag + " takes a number, not '" + value + "'");
  return v;
}

int main(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    if (i + 1 >= argc) fail(flag + " needs a value");
    const char* value = argv[i + 1];
    if (flag == "--protocol") o.protocol = value;
    else if (flag == "--scenario") o.scenario = value;
    else if (flag == "--plan") o.plan = value;
    else if (flag == "--port") o.ports.push_back(static_cast<int>(number(flag, value)));
    else if (flag == "--window") o.window = static_cast<uint32_t>(number(flag, value));
    else if (flag == "--text-bytes") o.text_bytes = static_cast<uint32_t>(number(flag, value));
    else if (flag == "--rate") o.rate = number(flag, value);
    else if (flag == "--first-sends") o.first_sends = static_cast<uint64_t>(number(flag, value));
    else if (flag == "--entries") o.entries = value;
    else if (flag == "--seconds") o.seconds = std::min(3600.0, number(flag, value));
    else if (flag == "--warmup") o.warmup = std::min(60.0, number(flag, value));
    else if (flag == "--drain") o.drain = std::min(60.0, number(flag, value));
    else if (flag == "--first") o.first = static_cast<uint32_t>(number(flag, value));
    else if (flag == "--reconnect") o.reconnect = number(flag, value) != 0;
    else if (flag == "--connecting") o.connecting = std::max(1u, static_cast<uint32_t>(number(flag, value)));
    else fail("unknown flag " + flag);
  }
  if (o.ports.empty()) fail("--port is missing");
  if (o.scenario != "direct" && o.scenario != "room" && o.scenario != "idle") fail("--scenario is direct, room or idle");
  if (o.entries != "text" && o.entries != "edit" && o.entries != "retract" && o.entries != "reply" && o.entries != "thread" && o.entries != "mix")
    fail("--entries is text, edit, retract, reply, thread or mix");
  if (o.window < 1 || o.window > 4096) fail("--window is 1 to 4096");
  if (o.text_bytes > 16384) fail("--text-bytes is at most 16384");
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  signal(SIGPIPE, SIG_IGN);
  if (o.protocol == "gochat") return run<Gochat>(o);
  if (o.protocol == "bare") return run<Bare>(o);
  if (o.protocol == "gochat-ws") return run<OverWs<Gochat>>(o);
  if (o.protocol == "bare-ws") return run<OverWs<Bare>>(o);
  if (o.protocol == "socket.io") return run<OverWs<SocketIo>>(o);
  if (o.protocol == "nats") return run<Nats>(o);
  if (o.protocol == "jetstream") return run<JetStream>(o);
  if (o.protocol == "mqtt0") return run<Mqtt0>(o);
  if (o.protocol == "mqtt1") return run<Mqtt1>(o);
  if (o.protocol == "xmpp") return run<Xmpp>(o);
  fail("--protocol is gochat, gochat-ws, bare, bare-ws, socket.io, nats, jetstream, mqtt0, mqtt1 or xmpp");
}
