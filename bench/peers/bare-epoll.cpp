// Baseline for rooms: a bare C++ epoll loop that speaks the bare protocol (load/protocol-gochat.h). What the kernel
// allows at best: no login, no log, no bounds; the frames of one epoll_wait are joined per socket.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "../load/protocol-gochat.h"

struct Entry {
  int sender;
  Bytes sent, message;
};

struct Room {
  std::vector<int> members;
  uint32_t seq = 0;
  std::vector<Entry> pending;
};

struct Socket {
  Bytes in, out;
  std::vector<uint64_t> rooms;
  bool open = false;
};

static int epoll_fd;
static std::vector<Socket> sockets;
static std::unordered_map<uint64_t, Room> rooms;
static std::vector<uint64_t> dirty;

static void watch(int fd, int operation, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  epoll_ctl(epoll_fd, operation, fd, &event);
}

static void flush(int fd) {
  Socket& s = sockets[static_cast<size_t>(fd)];
  const ssize_t size = send(fd, s.out.data(), s.out.size(), MSG_NOSIGNAL);
  if (size > 0) s.out.erase(0, static_cast<size_t>(size));
  watch(fd, EPOLL_CTL_MOD, EPOLLIN | (s.out.empty() ? 0u : static_cast<uint32_t>(EPOLLOUT)));
}

// Directly to the socket; only what it does not accept is kept.
static void write_all(int fd, std::string_view bytes) {
  Socket& s = sockets[static_cast<size_t>(fd)];
  if (!s.open) return;
  if (s.out.empty()) {
    const ssize_t size = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size > 0) bytes.remove_prefix(static_cast<size_t>(size));
    if (bytes.empty()) return;
  }
  s.out.append(bytes);
  watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void close_socket(int fd) {
  Socket& s = sockets[static_cast<size_t>(fd)];
  for (uint64_t key : s.rooms) {
    auto& members = rooms[key].members;
    members.erase(std::remove(members.begin(), members.end(), fd), members.end());
  }
  s = Socket{};
  close(fd);
}

static void read_frames(int fd, std::string_view chunk) {
  Socket& s = sockets[static_cast<size_t>(fd)];
  s.in.append(chunk);
  size_t at = 0;
  while (s.in.size() - at >= kHeaderBytes) {
    const uint32_t length = get_u32(&s.in[at]);
    if (length < kHeaderBytes - 4 || s.in.size() - at < 4 + length) break;
    const std::string_view frame(&s.in[at], 4 + length);
    const uint64_t key = static_cast<uint64_t>(get_u32(&frame[8])) << 32 | get_u32(&frame[12]);
    Room& room = rooms[key];
    if (frame[4] == HELLO) {
      room.members.push_back(fd);
      s.rooms.push_back(key);
      Bytes joined;
      end_frame(joined, begin_frame(joined, WELCOME, 0, key));
      write_all(fd, joined);
    } else if (frame[4] == SEND) {
      Entry entry{fd, {}, {}};
      const uint32_t seq = ++room.seq;
      const size_t sent = begin_frame(entry.sent, SENT, get_u16(&frame[6]), key);
      put_u32(entry.sent, seq);
      end_frame(entry.sent, sent);
      const size_t message = begin_frame(entry.message, MESSAGE, 0, key);
      put_u32(entry.message, seq);
      entry.message.append(frame.substr(kHeaderBytes));
      end_frame(entry.message, message);
      if (room.pending.empty()) dirty.push_back(key);
      room.pending.push_back(std::move(entry));
    }
    at += 4 + length;
  }
  s.in.erase(0, at);
}

static void deliver() {
  for (uint64_t key : dirty) {
    Room& room = rooms[key];
    Bytes all;
    std::vector<int> senders;
    for (const Entry& entry : room.pending) {
      all += entry.message;
      if (std::find(senders.begin(), senders.end(), entry.sender) == senders.end()) senders.push_back(entry.sender);
    }
    for (int member : room.members)
      if (std::find(senders.begin(), senders.end(), member) == senders.end()) write_all(member, all);
    for (int sender : senders) {
      Bytes own;
      for (const Entry& entry : room.pending) own += entry.sender == sender ? entry.sent : entry.message;
      write_all(sender, own);
    }
    room.pending.clear();
  }
  dirty.clear();
}

int main() {
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  signal(SIGPIPE, SIG_IGN);
  sockets.resize(limit.rlim_cur);
  epoll_fd = epoll_create1(0);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener, 4096) != 0) {
    perror("bare-epoll: listen");
    return 1;
  }
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  watch(listener, EPOLL_CTL_ADD, EPOLLIN);
  printf("{\"port\":%d}\n", ntohs(address.sin_port));
  fflush(stdout);
  std::vector<char> buffer(1 << 16);
  epoll_event events[512];
  for (;;) {
    const int n = epoll_wait(epoll_fd, events, 512, -1);
    for (int i = 0; i < n; i++) {
      const int fd = events[i].data.fd;
      if (fd == listener) {
        for (int peer; (peer = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
          int one = 1;
          setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          sockets[static_cast<size_t>(peer)].open = true;
          watch(peer, EPOLL_CTL_ADD, EPOLLIN);
        }
        continue;
      }
      if (events[i].events & EPOLLOUT) flush(fd);
      if (!(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
      const ssize_t got = read(fd, buffer.data(), buffer.size());
      if (got > 0) read_frames(fd, {buffer.data(), static_cast<size_t>(got)});
      else if (got == 0 || errno != EAGAIN) close_socket(fd);
    }
    deliver();
  }
}
