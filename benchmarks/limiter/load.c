/* Sends HTTP load to 127.0.0.1 from one thread and prints the result as one line of JSON.
 *
 *   load PORT PATH CONNECTIONS KEYS FIRST WARM_S SECONDS RATE
 *
 * Request number n is of user (FIRST + n) % KEYS (header X-User-ID). RATE 0: each connection sends again after its response.
 * RATE r: request i is due at i / r seconds, whatever the server does, and its latency counts from then.
 * The first WARM_S seconds do not count.
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
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BUFFER 16384
#define DRAIN_NS 10000000000LL
#define TIMER UINT32_MAX

typedef struct { int fd, got, waiting; int64_t due; char buffer[BUFFER]; } Connection;

static int port, connections, keys;
static const char *path;
static double rate;
static int epoll, timer = -1;
static Connection *all;
static uint32_t *idle, idle_head, idle_count;      /* a ring, so that no connection idles long enough to be closed */
static int64_t next_key, next_due, started, measure_from, measure_until;
static int64_t requests, lost, unanswered, statuses[600];
static int64_t *latency, *lateness;
static size_t latencies, latenesses, latency_room, lateness_room;

static void die(const char *what) { fprintf(stderr, "load: %s: %s\n", what, strerror(errno)); exit(1); }

static int64_t now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static double cpu_s(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return use.ru_utime.tv_sec + use.ru_stime.tv_sec + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void keep(int64_t **values, size_t *count, size_t *room, int64_t value) {
    if (*count == *room) {
        *room = *room ? *room * 2 : 1 << 16;
        if (!(*values = realloc(*values, *room * sizeof **values))) die("memory");
    }
    (*values)[(*count)++] = value;
}

static void watch(int fd, uint32_t number) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
}

static void open_connection(uint32_t number) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    Connection *c = &all[number];
    int on = 1;
    c->got = c->waiting = 0;
    if ((c->fd = socket(AF_INET, SOCK_STREAM, 0)) < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to)) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(c->fd, number);
}

static void send_request(uint32_t number, int64_t due, int64_t now) {
    Connection *c = &all[number];
    char text[512];
    int length = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\nX-User-ID: u%lld\r\n\r\n", path,
                          (long long)(next_key++ % keys));
    c->due = due;
    c->waiting = 1;
    c->got = 0;
    if (rate > 0 && due >= measure_from) keep(&lateness, &latenesses, &lateness_room, now - due);
    if (send(c->fd, text, length, MSG_NOSIGNAL) != length) { /* counted as lost when it is read */ }
}

static int64_t due_at(int64_t number) { return started + (int64_t)(number * 1e9 / rate); }

/* Send due requests while connections are idle; arm the timer for the next one. */
static void send_due(int64_t now) {
    while (idle_count && due_at(next_due) <= now && due_at(next_due) < measure_until) {
        uint32_t number = idle[idle_head];
        idle_head = (idle_head + 1) % connections;
        idle_count--;
        send_request(number, due_at(next_due++), now);
    }
    int64_t at = due_at(next_due);
    struct itimerspec wake = {.it_value = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000}};
    if (idle_count && timerfd_settime(timer, TFD_TIMER_ABSTIME, &wake, NULL)) die("timerfd_settime");
}

static void ready(uint32_t number, int64_t now) {
    if (rate > 0) {
        idle[(idle_head + idle_count++) % connections] = number;
        send_due(now);
    } else if (now < measure_until) {
        send_request(number, now, now);
    }
}

/* The status of a complete response, 0 while it is incomplete. */
static int whole(Connection *c) {
    c->buffer[c->got] = 0;
    char *end = strstr(c->buffer, "\r\n\r\n"), *field;
    if (!end) return 0;
    long body = (field = strcasestr(c->buffer, "\r\ncontent-length:")) && field < end ? atol(field + 17) : 0;
    if (end + 4 - c->buffer + body > c->got) return 0;
    int status = atoi(c->buffer + 9);
    return status > 0 && status < 600 ? status : 599;
}

static void count(Connection *c, int status, int64_t now) {
    c->waiting = 0;
    if (rate > 0 ? c->due < measure_from : now < measure_from || now >= measure_until) return;
    requests++;
    if (status) statuses[status]++;
    else lost++;
    keep(&latency, &latencies, &latency_room, now - c->due);
}

static void receive(uint32_t number) {
    Connection *c = &all[number];
    ssize_t got = recv(c->fd, c->buffer + c->got, BUFFER - 1 - c->got, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    int64_t now = now_ns();
    if (got <= 0) {
        int in_flight = c->waiting;
        if (in_flight) count(c, 0, now);
        close(c->fd);
        open_connection(number);
        if (in_flight) ready(number, now);
        return;
    }
    c->got += got;
    int status = whole(c);
    if (!status) return;
    count(c, status, now);
    ready(number, now);
}

static int waiting(void) {
    int found = 0;
    for (int number = 0; number < connections; number++) found += all[number].waiting;
    return found;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(int64_t *values, size_t n, double part) {
    return n ? values[(size_t)(part * (n - 1) + 0.5)] / 1e6 : 0;
}

static void print_result(double cpu, double seconds) {
    qsort(latency, latencies, sizeof *latency, ascending);
    qsort(lateness, latenesses, sizeof *lateness, ascending);
    printf("{\"requests\": %lld, \"seconds\": %.6f, \"lost\": %lld, \"unanswered\": %lld, \"statuses\": {",
           (long long)requests, seconds, (long long)lost, (long long)unanswered);
    const char *comma = "";
    for (int status = 0; status < 600; status++)
        if (statuses[status]) { printf("%s\"%d\": %lld", comma, status, (long long)statuses[status]); comma = ", "; }
    printf("}, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"p999_ms\": %.4f, \"max_ms\": %.4f, \"late_p99_ms\": %.4f, "
           "\"cpu_share\": %.4f}\n", percentile_ms(latency, latencies, .5), percentile_ms(latency, latencies, .99),
           percentile_ms(latency, latencies, .999), percentile_ms(latency, latencies, 1),
           percentile_ms(lateness, latenesses, .99), cpu / seconds);
}

int main(int argc, char **argv) {
    if (argc != 9) { fprintf(stderr, "load PORT PATH CONNECTIONS KEYS FIRST WARM_S SECONDS RATE\n"); return 4; }
    port = atoi(argv[1]), path = argv[2], connections = atoi(argv[3]), keys = atoi(argv[4]);
    next_key = atoll(argv[5]);
    double warm_s = atof(argv[6]), seconds = atof(argv[7]), cpu_before = 0;
    rate = atof(argv[8]);
    all = calloc(connections, sizeof *all), idle = calloc(connections, sizeof *idle);
    if (!all || !idle || (epoll = epoll_create1(0)) < 0) die("start");
    for (int number = 0; number < connections; number++) open_connection(number);
    if (rate > 0) {
        if ((timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)) < 0) die("timerfd_create");
        watch(timer, TIMER);
    }
    started = now_ns();
    measure_from = started + (int64_t)(warm_s * 1e9), measure_until = measure_from + (int64_t)(seconds * 1e9);
    for (int number = 0; number < connections; number++) ready(number, started);
    int measuring = 0;
    for (int64_t now = started; now < measure_until || (rate > 0 && now < measure_until + DRAIN_NS && waiting()); now = now_ns()) {
        if (!measuring && now >= measure_from) cpu_before = cpu_s(), measuring = 1;
        struct epoll_event events[64];
        int found = epoll_wait(epoll, events, 64, 20);
        for (int index = 0; index < found; index++) {
            if (events[index].data.u32 != TIMER) { receive(events[index].data.u32); continue; }
            uint64_t expirations;
            if (read(timer, &expirations, sizeof expirations) > 0) send_due(now_ns());
        }
    }
    if (rate > 0)
        for (unanswered = waiting(); due_at(next_due) < measure_until; next_due++) unanswered++;
    print_result(cpu_s() - cpu_before, seconds);
    return 0;
}
