/*
 * Opens many streams on one connection, writes to all of them at once and checks that each gets its own back.
 *
 * `both` streams go both ways. `one` streams go one way, and what was sent comes back, in any order, on streams of the
 * peer's. With a pause between the two halves of each stream, in milliseconds, the connection may move meanwhile.
 */
#include "common.h"

struct stream {
    int fd;
    uint64_t sent, got;
};

static unsigned char buffer[16384];

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s: %s\n", guest_name, what);
        exit(1);
    }
}

static void pause_ms(long ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    if (ms)
        nanosleep(&time, NULL);
}

static void both_ways(int connection, int count, uint64_t bytes, long pause)
{
    struct stream *streams = calloc((size_t)count, sizeof *streams);
    struct pollfd *polled = calloc((size_t)count, sizeof *polled);
    if (!streams || !polled)
        die("calloc", ENOMEM);
    for (int i = 0; i < count; i++) {
        int error = networking_stream_create(connection, RIGHTS, 0, NONBLOCK, &streams[i].fd);
        if (error)
            die("stream_create", error);
    }
    bool paused = false;
    for (int left = count; left > 0;) {
        bool half = true;
        for (int i = 0; i < count; i++) {
            polled[i] = (struct pollfd){.fd = streams[i].fd};
            polled[i].events = (short)(POLLIN | (streams[i].sent < bytes ? POLLOUT : 0));
            half &= streams[i].fd < 0 || streams[i].got >= bytes / 2;
        }
        if (half && !paused) {
            paused = true;
            pause_ms(pause);
        }
        if (poll(polled, (nfds_t)count, -1) < 0)
            die("poll", errno);
        for (int i = 0; i < count; i++) {
            struct stream *stream = &streams[i];
            uint64_t limit = paused || !pause ? bytes : bytes / 2;
            if (polled[i].revents & POLLOUT && stream->sent < limit) {
                size_t len = sizeof buffer < limit - stream->sent ? sizeof buffer : (size_t)(limit - stream->sent);
                for (size_t at = 0; at < len; at++)
                    buffer[at] = pattern(stream->sent + at, (unsigned)i);
                ssize_t wrote = write(stream->fd, buffer, len);
                if (wrote < 0 && errno != EAGAIN)
                    die("write", errno);
                stream->sent += wrote > 0 ? (uint64_t)wrote : 0;
                if (stream->sent == bytes && shutdown(stream->fd, SHUT_WR))
                    die("shutdown", errno);
            }
            if (polled[i].revents & (POLLIN | POLLHUP)) {
                ssize_t got = read(stream->fd, buffer, sizeof buffer);
                if (got < 0 && errno == EAGAIN)
                    continue;
                if (got < 0)
                    die("read", errno);
                for (ssize_t at = 0; at < got; at++)
                    check(buffer[at] == pattern(stream->got + (uint64_t)at, (unsigned)i), "another byte came back");
                stream->got += (uint64_t)got;
                if (got == 0) {
                    check(stream->got == bytes, "a stream ended early");
                    close(stream->fd);
                    stream->fd = -1;
                    left--;
                }
            }
        }
    }
}

static void one_way(int connection, int count, uint64_t bytes)
{
    bool *seen = calloc((size_t)count, sizeof *seen);
    int error = networking_option_set(connection, NETWORKING_SOCKET_OPTION_UNIDIRECTIONAL, 1);
    if (error)
        die("option_set", error);
    for (int i = 0; i < count; i++) {
        int stream;
        error = networking_stream_create(connection, RIGHTS, 0, 0, &stream);
        if (error)
            die("stream_create", error);
        int len = snprintf((char *)buffer, sizeof buffer, "%d ", i);
        memset(buffer + len, 'x', bytes);
        write_all(stream, buffer, (size_t)len + bytes);
        check(read(stream, buffer, 1) < 0 && errno == ENOTSUP, "a stream of ours that goes one way was read");
        close(stream);
    }
    for (int i = 0; i < count; i++) {
        int stream;
        error = networking_stream_accept(connection, &stream);
        if (error)
            die("stream_accept", error);
        size_t got = read_full(stream, buffer, sizeof buffer - 1);
        buffer[got] = 0;
        int number = atoi((char *)buffer);
        check(number >= 0 && number < count && !seen[number], "a stream came back twice");
        seen[number] = true;
        close(stream);
    }
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 2)
        usage("ADDRESS [both|one] [STREAMS] [BYTES] [PAUSE_MS]");
    const char *way = argument(argc, argv, 2, "both");
    int count = atoi(argument(argc, argv, 3, "10"));
    uint64_t bytes = strtoull(argument(argc, argv, 4, "1000"), NULL, 10);
    long pause = atol(argument(argc, argv, 5, "0"));

    int connection = connection_to(argv[1], STREAM);
    if (!strcmp(way, "one"))
        one_way(connection, count, bytes);
    else
        both_ways(connection, count, bytes, pause);
    close(connection);
    printf("%d streams of %llu bytes came back\n", count, bytes);
    return 0;
}
