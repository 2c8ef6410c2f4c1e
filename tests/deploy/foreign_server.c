/* A foreign server: it implements none of the contract, answers GET /healthz, and exits on SIGTERM.
 *
 * -DVERSION='"1"'   the version that it reports
 * -DHANDOVER        it takes listening sockets by LISTEN_FDS; else it binds PORT
 * -DSTUBBORN        it ignores SIGTERM
 * -DCRASH           it exits before it listens
 * -DDEAF            it never answers
 * -DSICK            /healthz is not found
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t leaving;

static void leave(int number) {
    (void)number;
    leaving = 1;
}

static int bound(void) {
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    at.sin_port = htons((unsigned short)atoi(getenv("PORT")));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 128)) {
        perror("foreign server: cannot listen");
        exit(1);
    }
    return fd;
}

static void answer(int client) {
    char request[4096], reply[512];
    const char *body = "version " VERSION "\n";
    ssize_t got = read(client, request, sizeof request - 1);
    if (got > 0) {
        request[got] = 0;
#ifdef SICK
        int known = 0;
#else
        int known = strncmp(request, "GET /healthz ", 13) == 0;
#endif
        int length = snprintf(reply, sizeof reply,
            "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
            known ? "200 OK" : "404 Not Found", strlen(body), body);
        if (write(client, reply, (size_t)length) < 0) perror("foreign server: write");
    }
    shutdown(client, SHUT_WR);
    close(client);
}

int main(void) {
    struct pollfd sockets[2];
    nfds_t count = 0;
#ifdef CRASH
    fputs("foreign server: the configuration is not to my liking\n", stderr);
    return 3;
#endif
#ifdef DEAF
    return pause();
#endif
    struct sigaction action = {.sa_handler = leave};
    sigset_t term, open_to_signals;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &open_to_signals);  /* it arrives while we wait, never just before */
    sigdelset(&open_to_signals, SIGTERM);
#ifdef STUBBORN
    signal(SIGTERM, SIG_IGN);
#else
    sigaction(SIGTERM, &action, NULL);
#endif
    signal(SIGPIPE, SIG_IGN);
#ifdef HANDOVER
    for (int n = atoi(getenv("LISTEN_FDS") ? getenv("LISTEN_FDS") : "0"); (int)count < n && count < 2; count++)
        sockets[count] = (struct pollfd){.fd = 3 + (int)count, .events = POLLIN};
#endif
    if (!count) sockets[count++] = (struct pollfd){.fd = bound(), .events = POLLIN};
    fprintf(stderr, "serving version %s\n", VERSION);
    for (nfds_t i = 0; i < count; i++)
        fcntl(sockets[i].fd, F_SETFL, O_NONBLOCK);  /* another process may accept first what both were told of */
    while (!leaving) {
        if (ppoll(sockets, count, NULL, &open_to_signals) < 0) continue;
        for (nfds_t i = 0; i < count; i++)
            if (sockets[i].revents & POLLIN) {
                int client = accept4(sockets[i].fd, NULL, NULL, 0);
                if (client >= 0) answer(client);
            }
    }
    return 0;
}
