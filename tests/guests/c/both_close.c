/*
 * One end of a connection that both ends close: connects, or with `listen` accepts, waits until its monotonic clock
 * says MILLISECONDS, ends its direction and reads the other to its end. With the same time at both ends, the two
 * ends cross on the way (RFC 9293, section 3.6, case 3).
 */
#include "common.h"

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 3)
        usage("ADDRESS MILLISECONDS [listen]");
    int fd = argc > 3 ? accept_stream(listen_on(argv[1], STREAM, 1, 0)) : dial(argv[1], STREAM);
    if (fd < 0)
        die("accept", errno);
    uint64_t at_ns = strtoull(argv[2], NULL, 10) * 1000000;
    struct timespec at = {.tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000};
    int error = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    if (error)
        die("clock_nanosleep", error);
    if (shutdown(fd, SHUT_WR) < 0)
        die("shutdown", errno);
    char byte;
    if (read_full(fd, &byte, 1) != 0) {
        fprintf(stderr, "%s: the peer sent something\n", guest_name);
        return 1;
    }
    close(fd);
    printf("both ends are closed\n");
    return 0;
}
