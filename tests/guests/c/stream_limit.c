/*
 * Opens more streams of one connection than its peer allows at once, each with a message of its own: `wait` has creating one
 * wait until another has ended, `again` is told to come again and waits with poll. Then it reads what came back. Fails if
 * there was never anything to wait for; so the path has to have a delay.
 */
#include "common.h"

#define WAITED_NS 1000000 /* more than a call takes that does not wait */

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s: %s\n", guest_name, what);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 3)
        usage("ADDRESS wait|again [STREAMS] [BYTES]");
    bool again = !strcmp(argv[2], "again");
    int count = atoi(argument(argc, argv, 3, "100"));
    size_t bytes = strtoull(argument(argc, argv, 4, "1000"), NULL, 10);
    long waits = 0;

    int *streams = calloc((size_t)count, sizeof *streams);
    unsigned char *message = malloc(bytes + 1);
    if (!streams || !message)
        die("malloc", ENOMEM);
    int connection = connection_to(argv[1], STREAM);
    if (again && fcntl(connection, F_SETFL, O_NONBLOCK) < 0)
        die("fcntl", errno);
    for (int i = 0; i < count; i++) {
        uint64_t start = now_ns();
        int error;
        while ((error = networking_stream_create(connection, RIGHTS, 0, 0, &streams[i])) == NETWORKING_ERRNO_AGAIN) {
            check(again, "a call that waits was told to come again");
            struct pollfd one = {.fd = connection, .events = POLLOUT};
            if (poll(&one, 1, -1) < 0)
                die("poll", errno);
            check(one.revents == POLLOUT, "a connection that takes streams again is something else");
        }
        if (error)
            die("stream_create", error);
        waits += now_ns() - start > WAITED_NS;
        for (size_t at = 0; at < bytes; at++)
            message[at] = pattern(at, (unsigned)i);
        write_all(streams[i], message, bytes);
        if (shutdown(streams[i], SHUT_WR))
            die("shutdown", errno);
    }
    check(waits > 0, "there was always room for another stream");
    for (int i = 0; i < count; i++) {
        check(read_full(streams[i], message, bytes + 1) == bytes, "a stream ended early, or late");
        for (size_t at = 0; at < bytes; at++)
            check(message[at] == pattern(at, (unsigned)i), "another byte came back");
        close(streams[i]);
    }
    close(connection);
    printf("%d streams of %zu bytes came back\n", count, bytes);
    return 0;
}
