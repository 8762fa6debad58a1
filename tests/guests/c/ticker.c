/*
 * Sends a line over one connection to an echo server every so often, and tells, with the time, what becomes of it: a
 * connection, an answer that takes longer than a second, the answer in the end, an error. After an error, or the
 * server's end, it connects anew. Ends once so many lines were answered.
 */
#include "common.h"

static void tell(const char *what)
{
    uint64_t ms = now_ns() / 1000000;
    printf("%llu.%03llu %s\n", (unsigned long long)ms / 1000, (unsigned long long)ms % 1000, what);
    fflush(stdout);
}

/* A stream, or -1. */
static int try_dial(const char *address)
{
    int control = open_towards(address, STREAM, 0), connection, stream;
    int error = networking_connect(control, address, &connection);
    close(control);
    if (error) {
        tell(strerror(error));
        return -1;
    }
    if (networking_stream_create(connection, RIGHTS, 0, 0, &stream))
        stream = -1;
    close(connection);
    tell("connected");
    return stream;
}

/* True once the line has come back whole. */
static bool echoed(int fd, const char *line, size_t len)
{
    char got[32];
    size_t have = 0;
    bool late = false;
    if (write(fd, line, len) != (ssize_t)len)
        return tell(strerror(errno)), false;
    while (have < len) {
        struct pollfd one = {.fd = fd, .events = POLLIN};
        if (!late && poll(&one, 1, 1000) == 0) {
            late = true;
            tell("no answer yet");
        }
        ssize_t count = read(fd, got + have, len - have);
        if (count <= 0)
            return tell(count ? strerror(errno) : "the server's end"), false;
        have += (size_t)count;
    }
    if (late)
        tell("answered");
    return !memcmp(line, got, len);
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 4)
        usage("ADDRESS LINES MILLISECONDS");
    long lines = atol(argv[2]), pause_ms = atol(argv[3]);
    struct timespec pause = {.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000};
    int fd = -1;
    for (long i = 0; i < lines;) {
        char line[32];
        size_t len = (size_t)snprintf(line, sizeof line, "%ld\n", i);
        if (fd < 0)
            fd = try_dial(argv[1]);
        if (fd >= 0 && echoed(fd, line, len)) {
            i++;
        } else if (fd >= 0) {
            close(fd);
            fd = -1;
        }
        nanosleep(&pause, NULL);
    }
    tell("done");
    return 0;
}
