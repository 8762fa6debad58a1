/*
 * Sends everything back. Serves all of its clients at once: it polls, then takes one turn with each that is ready.
 *
 * The last argument says after how many connections (for datagrams: after how many datagrams) it ends; 0 is never.
 */
#include "common.h"

static char buffer[65536];
static struct pollfd *polled;
static int count;

static void add(int fd)
{
    polled = realloc(polled, sizeof *polled * (size_t)(count + 1));
    if (!polled)
        die("realloc", errno);
    polled[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    const char *bind = argument(argc, argv, 1, "0.0.0.0:7");
    networking_filetype_t type = socket_type(argument(argc, argv, 2, "stream"));
    long max = atol(argument(argc, argv, 3, "0"));
    long accepted = 0, ended = 0, datagrams = 0;
    uint64_t bytes = 0;

    add(listen_on(bind, type, 128, 0));
    while (max == 0 || (type == DATAGRAM ? datagrams : ended) < max) {
        if (poll(polled, (nfds_t)count, -1) < 0)
            die("poll", errno);
        for (int i = count - 1; i > 0; i--) {
            if (!polled[i].revents)
                continue;
            ssize_t got = read(polled[i].fd, buffer, sizeof buffer);
            if (got < 0 || (got == 0 && type == STREAM)) {
                if (got < 0)
                    fprintf(stderr, "%s: read: %s\n", guest_name, strerror(errno));
                close(polled[i].fd);
                polled[i] = polled[--count];
                ended++;
                continue;
            }
            write_all(polled[i].fd, buffer, (size_t)got);
            bytes += (uint64_t)got;
            datagrams += type == DATAGRAM;
        }
        if (polled[0].revents && (max == 0 || type == DATAGRAM || accepted < max)) {
            int stream = accept_stream(polled[0].fd);
            if (stream < 0)
                die("accept", errno);
            accepted++;
            add(stream);
        }
        /* Whoever comes once the last one is in waits in the backlog, and must not wake us. */
        if (max && type == STREAM && accepted == max)
            polled[0].fd = -1;
    }
    printf("echoed %llu bytes of %ld connections\n", bytes, accepted);
    return 0;
}
