// lingers PORT: listens, then ends its first thread, as can happen to a killed process; a second thread ends the process a second later.
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

int main(int, char** argv) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(static_cast<uint16_t>(atoi(argv[1])));
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || listen(fd, 1) != 0) {
    perror("lingers");
    return 1;
  }
  std::thread([] {
    sleep(1);
    _exit(0);
  }).detach();
  puts("listens");
  fflush(stdout);
  pthread_exit(nullptr);
}
