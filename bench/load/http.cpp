// The HTTP load generator: one thread, epoll, loopback only, keep-alive connections that carry one request at a time, as
// clients do. As many requests as answers allow (closed loop), or at a fixed rate (open loop): these are due whether or not
// answers come, wait here while all connections are busy, and latency counts from when they were due.
//
//     http PORT CONNECTIONS SECONDS RATE [HEADER] < PATHS   RATE 0: closed loop; one path per line, requested in turn
//
// Prints one JSON line.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <deque>
#include <iostream>
#include <string>
#include <vector>

#include "histogram.h"

static constexpr int64_t kSecond = 1'000'000'000;
// A server that has not answered for so long has failed.
static constexpr int64_t kDrainTime = 10 * kSecond;

struct Client {
  int fd = -1;
  std::string in;
  const std::string* request = nullptr;  // Awaits its answer; nullptr: the connection is free.
  int64_t due_ns = 0;
  bool repeated = false;
};

static int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * kSecond + t.tv_nsec;
}

[[noreturn]] static void fail(const std::string& why) {
  fprintf(stderr, "http: %s\n", why.c_str());
  exit(1);
}

class Load {
 public:
  Load(int port, int connections, std::vector<std::string> requests)
      : requests_(std::move(requests)), clients_(connections), epoll_(epoll_create1(0)) {
    address_.sin_family = AF_INET;
    address_.sin_port = htons(static_cast<uint16_t>(port));
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (Client& client : clients_) {
      open(client);
      free_.push_back(&client);
    }
  }

  void run(double seconds, double rate) {
    const int64_t began = now_ns();
    const int64_t end = began + static_cast<int64_t>(seconds * 1e9);
    const double gap = rate > 0 ? 1e9 / rate : 0;
    const uint64_t wanted = static_cast<uint64_t>(seconds * rate);
    uint64_t made = 0;
    for (;;) {
      const int64_t now = now_ns();
      if (rate > 0) {
        int64_t due = began;
        for (; made < wanted && (due = began + static_cast<int64_t>(made * gap)) <= now; made++) {
          late_.record(now - due);
          due_.push_back(due);
        }
      }
      while (!free_.empty() && (!due_.empty() || (rate == 0 && now < end))) {
        Client& client = *free_.front();
        free_.pop_front();
        client.due_ns = rate > 0 ? due_.front() : now;
        if (rate > 0) due_.pop_front();
        client.repeated = false;
        client.request = &requests_[next_++ % requests_.size()];
        write(client);
      }
      const bool is_asking = rate > 0 ? made < wanted : now < end;
      if (!is_asking && due_.empty() && free_.size() == clients_.size()) break;
      if (now > end + kDrainTime) fail("the server owes answers");
      wait(rate > 0 && made < wanted ? began + static_cast<int64_t>(made * gap) - now_ns() : 5'000'000);
    }
    const double elapsed = static_cast<double>(now_ns() - began) / 1e9;
    printf("{\"perSecond\":%.1f,\"p50Ms\":%.3f,\"p99Ms\":%.3f,\"lateP99Ms\":%.3f,\"reconnects\":%d}\n",
           static_cast<double>(latency_.count()) / elapsed, latency_.quantile_ms(0.5), latency_.quantile_ms(0.99),
           late_.quantile_ms(0.99), reconnects_);
  }

 private:
  void open(Client& client) {
    client.fd = socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(client.fd, reinterpret_cast<sockaddr*>(&address_), sizeof address_) != 0)
      fail(std::string("cannot connect: ") + strerror(errno));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &client;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, client.fd, &event);
    client.in.clear();
  }

  void write(Client& client) {
    // A request is far smaller than what a socket accepts at once.
    const ssize_t sent = send(client.fd, client.request->data(), client.request->size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(client.request->size())) again(client);
  }

  // The server has ended a connection, for instance an idle one: the request is sent once more, as browsers do.
  void again(Client& client) {
    close(client.fd);
    if (client.repeated) fail("the server ends connections instead of answering");
    reconnects_++;
    open(client);
    if (client.request == nullptr) return;
    client.repeated = true;
    write(client);
  }

  void wait(int64_t ns) {
    epoll_event events[64];
    timespec timeout{};
    if (ns > 0) timeout = {ns / kSecond, ns % kSecond};
    const int count = epoll_pwait2(epoll_, events, 64, &timeout, nullptr);
    for (int i = 0; i < count; i++) read(*static_cast<Client*>(events[i].data.ptr));
  }

  void read(Client& client) {
    char bytes[65536];
    const ssize_t got = recv(client.fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return again(client);
    client.in.append(bytes, static_cast<size_t>(got));
    const size_t head = client.in.find("\r\n\r\n");
    if (head == std::string::npos) return;
    if (client.in.compare(0, 12, "HTTP/1.1 200") != 0) fail("the server answered: " + client.in.substr(0, 200));
    const char* length = strcasestr(client.in.c_str(), "\r\ncontent-length:");
    if (length == nullptr) fail("the server answered without a content-length");
    if (client.in.size() < head + 4 + strtoul(length + 17, nullptr, 10)) return;
    client.in.clear();
    client.request = nullptr;
    latency_.record(now_ns() - client.due_ns);
    free_.push_back(&client);
  }

  const std::vector<std::string> requests_;
  std::vector<Client> clients_;
  const int epoll_;
  sockaddr_in address_{};
  std::deque<Client*> free_;
  std::deque<int64_t> due_;
  size_t next_ = 0;
  int reconnects_ = 0;
  Histogram latency_, late_;
};

int main(int argc, char** argv) {
  if (argc < 5) fail("usage: http PORT CONNECTIONS SECONDS RATE [HEADER] < PATHS");
  const std::string header = argc > 5 ? std::string(argv[5]) + "\r\n" : "";
  std::vector<std::string> requests;
  for (std::string path; std::getline(std::cin, path);)
    requests.push_back("GET " + path + " HTTP/1.1\r\nhost: bench\r\n" + header + "\r\n");
  if (requests.empty()) fail("no paths came in");
  Load(atoi(argv[1]), atoi(argv[2]), std::move(requests)).run(atof(argv[3]), atof(argv[4]));
}
