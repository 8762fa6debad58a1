/* Sends numbered datagrams, one every so often: "NUMBER " and a pattern up to their length. */
#include "common.h"

static char buffer[65536];

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 3)
        usage("ADDRESS COUNT [BYTES] [MILLISECONDS]");
    long count = atol(argv[2]), pause_ms = atol(argument(argc, argv, 4, "10"));
    size_t bytes = strtoul(argument(argc, argv, 3, "100"), NULL, 10);
    struct timespec pause = {.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000};
    if (bytes < 16 || bytes > sizeof buffer)
        usage("ADDRESS COUNT [BYTES, 16 to 65536] [MILLISECONDS]");

    int fd = dial(argv[1], DATAGRAM);
    for (long i = 0; i < count; i++) {
        int head = snprintf(buffer, sizeof buffer, "%ld ", i);
        for (size_t at = (size_t)head; at < bytes; at++)
            buffer[at] = (char)pattern(at, (unsigned)i);
        write_all(fd, buffer, bytes);
        nanosleep(&pause, NULL);
    }
    close(fd);
    printf("sent %ld datagrams of %zu bytes\n", count, bytes);
    return 0;
}
