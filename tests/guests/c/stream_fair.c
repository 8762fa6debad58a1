/*
 * How fair are the streams of a connection? `pour` writes to all of them in turn, as much as each takes, and each time
 * another one is first; `gauge` reads from
 * all of them until so many bytes came in all, and tells how much the least and the most of them had got by then.
 */
#include "common.h"

static char buffer[4096];

static void pause_ms(long ms)
{
    struct timespec time = {.tv_nsec = ms * 1000000};
    nanosleep(&time, NULL);
}

static void pour(const char *address, int count)
{
    int *streams = calloc((size_t)count, sizeof *streams);
    int connection = connection_to(address, STREAM);
    for (int i = 0; i < count; i++) {
        int error = networking_stream_create(connection, RIGHTS, 0, NONBLOCK, &streams[i]);
        if (error)
            die("stream_create", error);
    }
    for (int first = 0;; first = (first + 1) % count) {
        bool room = false;
        for (int i = 0; i < count; i++) {
            ssize_t wrote = write(streams[(first + i) % count], buffer, sizeof buffer / 4);
            room |= wrote > 0;
            /* The other side has had enough. */
            if (wrote < 0 && (errno == EPIPE || errno == ECONNABORTED))
                return;
            if (wrote < 0 && errno != EAGAIN)
                die("write", errno);
        }
        if (!room)
            pause_ms(2);
    }
}

static int gauge(const char *address, int count, uint64_t enough)
{
    int *streams = calloc((size_t)count, sizeof *streams);
    uint64_t *got = calloc((size_t)count, sizeof *got), total = 0, least = UINT64_MAX, most = 0;
    int connection, control = listen_on(address, STREAM, 1, 0);
    int error = networking_accept(control, &connection);
    for (int i = 0; i < count && !error; i++) {
        error = networking_stream_accept(connection, &streams[i]);
        if (!error && fcntl(streams[i], F_SETFL, O_NONBLOCK) < 0)
            error = errno;
    }
    if (error)
        die("accept", error);
    while (total < enough) {
        for (int i = 0; i < count; i++) {
            ssize_t now;
            while ((now = read(streams[i], buffer, sizeof buffer)) > 0) {
                got[i] += (uint64_t)now;
                total += (uint64_t)now;
            }
            if (now == 0 || errno != EAGAIN)
                die("read", now ? errno : EPROTO);
        }
        pause_ms(10);
    }
    for (int i = 0; i < count; i++) {
        least = got[i] < least ? got[i] : least;
        most = got[i] > most ? got[i] : most;
    }
    printf("%d streams, from %llu to %llu bytes\n", count, least, most);
    return (most - least) * 10 <= most ? 0 : 1;
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 4)
        usage("ADDRESS pour|gauge STREAMS [BYTES]");
    int count = atoi(argv[3]);
    if (!strcmp(argv[2], "gauge"))
        return gauge(argv[1], count, strtoull(argument(argc, argv, 4, "1000000"), NULL, 10));
    pour(argv[1], count);
    return 0;
}
