/*
 * Sends a message and waits for its echo, again and again, and gives up on the first that is not back in time.
 */
#include "common.h"

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 2)
        usage("ADDRESS [stream|dgram] [TIMEOUT_MS] [COUNT]");
    int timeout_ms = atoi(argument(argc, argv, 3, "500"));
    long count = atol(argument(argc, argv, 4, "10"));
    char sent[32], got[sizeof sent];

    int fd = dial(argv[1], socket_type(argument(argc, argv, 2, "stream")));
    for (long i = 1; i <= count; i++) {
        size_t len = (size_t)snprintf(sent, sizeof sent, "question %ld", i);
        write_all(fd, sent, len);
        struct pollfd one = {.fd = fd, .events = POLLIN};
        int ready = poll(&one, 1, timeout_ms);
        if (ready < 0)
            die("poll", errno);
        if (!ready) {
            fprintf(stderr, "%s: gave up on %ld of %ld\n", guest_name, i, count);
            return 1;
        }
        if (read_full(fd, got, len) != len || memcmp(sent, got, len)) {
            fprintf(stderr, "%s: %ld of %ld is not what was sent\n", guest_name, i, count);
            return 2;
        }
    }
    printf("%ld answers in time\n", count);
    return 0;
}
