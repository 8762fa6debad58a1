/*
 * Opens many connections at once from one guest, then talks over all of them, interleaved: each has its own pattern of
 * bytes, sent in uneven pieces while the echo of earlier ones is still coming back. Nothing here blocks but poll.
 */
#include "common.h"

struct talk {
    int control; /* while it connects; -1 after */
    int fd;
    size_t sent, got;
};

static size_t target;
static const char *address;
static char buffer[4096];

/* Finishes a connect that poll says is ready. */
static void finish_connect(struct talk *talk)
{
    int connection;
    int error = networking_connect(talk->control, address, &connection);
    if (error == NETWORKING_ERRNO_INPROGRESS || error == NETWORKING_ERRNO_AGAIN)
        return;
    if (error)
        die(address, error);
    error = networking_stream_create(connection, RIGHTS, 0, NONBLOCK, &talk->fd);
    if (error)
        die("stream_create", error);
    close(connection);
    close(talk->control);
    talk->control = -1;
}

static void send_some(struct talk *talk, unsigned salt)
{
    size_t len = 1 + (talk->sent * 7 + salt * 13) % sizeof buffer;
    len = len < target - talk->sent ? len : target - talk->sent;
    for (size_t i = 0; i < len; i++)
        buffer[i] = (char)pattern(talk->sent + i, salt);
    ssize_t wrote = write(talk->fd, buffer, len);
    if (wrote < 0 && errno != EAGAIN)
        die("write", errno);
    talk->sent += wrote > 0 ? (size_t)wrote : 0;
    if (talk->sent == target && shutdown(talk->fd, SHUT_WR) < 0)
        die("shutdown", errno);
}

/* True once the peer's end has come. */
static bool receive_some(struct talk *talk, unsigned salt)
{
    ssize_t got = read(talk->fd, buffer, sizeof buffer);
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got < 0)
        die("read", errno);
    for (ssize_t i = 0; i < got; i++) {
        if ((unsigned char)buffer[i] != pattern(talk->got + (size_t)i, salt)) {
            fprintf(stderr, "%s: connection %u: byte %zu is wrong\n", guest_name, salt, talk->got + (size_t)i);
            exit(1);
        }
    }
    talk->got += (size_t)got;
    if (got == 0 && talk->got != target) {
        fprintf(stderr, "%s: connection %u ended after %zu of %zu bytes\n", guest_name, salt, talk->got, target);
        exit(1);
    }
    return got == 0;
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 3)
        usage("ADDRESS CONNECTIONS [BYTES_EACH]");
    address = argv[1];
    int connections = atoi(argv[2]), left = connections;
    target = (size_t)atol(argument(argc, argv, 3, "10000"));
    struct talk *talks = calloc((size_t)connections, sizeof *talks);
    struct pollfd *polled = calloc((size_t)connections, sizeof *polled);
    if (!talks || !polled)
        die("calloc", ENOMEM);

    for (int i = 0; i < connections; i++) {
        talks[i].control = open_towards(address, STREAM, NONBLOCK);
        finish_connect(&talks[i]);
    }
    while (left > 0) {
        for (int i = 0; i < connections; i++) {
            struct talk *talk = &talks[i];
            bool connecting = talk->control >= 0;
            polled[i].fd = connecting ? talk->control : talk->fd;
            polled[i].events = connecting ? POLLOUT : talk->sent < target ? POLLIN | POLLOUT : POLLIN;
            polled[i].revents = 0;
        }
        if (poll(polled, (nfds_t)connections, -1) < 0)
            die("poll", errno);
        for (int i = 0; i < connections; i++) {
            struct talk *talk = &talks[i];
            if (!polled[i].revents)
                continue;
            if (talk->control >= 0) {
                finish_connect(talk);
                continue;
            }
            if (polled[i].revents & POLLOUT)
                send_some(talk, (unsigned)i);
            if (polled[i].revents & ~POLLOUT && receive_some(talk, (unsigned)i)) {
                close(talk->fd);
                talk->fd = -1;
                left--;
            }
        }
    }
    printf("%d connections, %zu bytes there and back on each\n", connections, target);
    return 0;
}
