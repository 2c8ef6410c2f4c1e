/* A server with a known latency: server PORT fast | stall SECONDS | delay SECONDS.
 *
 * One thread, epoll, HTTP/1.1 with keep-alive, requests without a body. `stall` answers nothing in the first SECONDS of
 * every ten, counted from a whole multiple of ten of the wall clock, and then everything that waits at once. `delay`
 * answers every request exactly SECONDS after its arrival. Both use an absolute timer, so their error is a wake-up.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_NS 10000000000LL
#define WAITING (1 << 20)

static const char ANSWER[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 48\r\n\r\n"
    "{\"status\": \"healthy\", \"version\": 1, \"checks\": 1}";

static struct { int fd; int64_t at_ns; } waiting[WAITING];
static unsigned first, next;

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void arm(int timer, int64_t at_ns) {
    struct itimerspec when = {.it_value = {at_ns / 1000000000LL, at_ns % 1000000000LL}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void answer(int fd) {
    if (send(fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET && errno != EBADF)
        perror("send");
}

/* The number of requests that end in these bytes: each ends with an empty line. */
static int requests(const char *data, ssize_t length) {
    int count = 0;
    for (const char *at = data; (at = memmem(at, data + length - at, "\r\n\r\n", 4)); at += 4) count++;
    return count;
}

int main(int argc, char **argv) {
    if (argc < 3) return fprintf(stderr, "usage: server PORT fast|stall|delay [SECONDS [HOST]]\n"), 2;
    int stalls = !strcmp(argv[2], "stall"), delays = !strcmp(argv[2], "delay");
    int64_t length_ns = argc > 3 ? (int64_t)(atof(argv[3]) * 1e9) : 0;
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])),
                                .sin_addr.s_addr = argc > 4 ? inet_addr(argv[4]) : htonl(INADDR_LOOPBACK)};
    int one = 1, listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listening, (struct sockaddr *)&where, sizeof where) || listen(listening, 4096)) return perror("listen"), 1;
    int epoll = epoll_create1(0), timer = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listening}, events[256];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &event);
    event.data.fd = timer;
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
    static char data[65536];
    for (;;) {
        int ready = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listening) {
                int accepted = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
                if (accepted < 0) continue;
                setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                event.data.fd = accepted;
                epoll_ctl(epoll, EPOLL_CTL_ADD, accepted, &event);
            } else if (fd == timer) {
                uint64_t times;
                if (read(timer, &times, sizeof times) < 0) continue;
                for (; first != next && waiting[first % WAITING].at_ns <= now_ns(); first++)
                    answer(waiting[first % WAITING].fd);
                if (first != next) arm(timer, waiting[first % WAITING].at_ns);
            } else {
                ssize_t got = recv(fd, data, sizeof data, 0);
                if (got <= 0) {
                    if (got == 0 || errno != EAGAIN) close(fd);
                    continue;
                }
                int64_t came_ns = now_ns(), into_ns = came_ns % PERIOD_NS, at_ns = 0;
                if (delays) at_ns = came_ns + length_ns;
                if (stalls && into_ns < length_ns) at_ns = came_ns - into_ns + length_ns;
                for (int count = requests(data, got); count > 0; count--) {
                    if (!at_ns) {
                        answer(fd);
                        continue;
                    }
                    if (first == next) arm(timer, at_ns);
                    waiting[next % WAITING].fd = fd;
                    waiting[next++ % WAITING].at_ns = at_ns;
                }
            }
        }
    }
}
