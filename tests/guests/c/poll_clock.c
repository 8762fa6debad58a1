/*
 * One poll_oneoff with a clock and a descriptor: whichever comes first is printed. First on a connection whose peer
 * says nothing (the clock comes first), then, with what is written echoed (the descriptor does).
 */
#include <wasi/api.h>

#include "common.h"

enum { CLOCK = 1, DESCRIPTOR = 2 };

static uint64_t poll_both(int fd, uint64_t timeout_ns)
{
    __wasi_subscription_t wanted[2] = {
        {.userdata = CLOCK, .u = {.tag = __WASI_EVENTTYPE_CLOCK}},
        {.userdata = DESCRIPTOR, .u = {.tag = __WASI_EVENTTYPE_FD_READ}},
    };
    wanted[0].u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
    wanted[0].u.u.clock.timeout = timeout_ns;
    wanted[1].u.u.fd_read.file_descriptor = fd;
    __wasi_event_t events[2];
    __wasi_size_t count;
    __wasi_errno_t error = __wasi_poll_oneoff(wanted, events, 2, &count);
    if (error)
        die("poll_oneoff", error);
    uint64_t seen = 0;
    for (__wasi_size_t i = 0; i < count; i++) {
        if (events[i].error)
            die("event", events[i].error);
        seen |= events[i].userdata;
        if (events[i].userdata == CLOCK)
            printf("clock\n");
        else
            printf("descriptor: %llu bytes%s\n", (unsigned long long)events[i].fd_readwrite.nbytes,
                   events[i].fd_readwrite.flags & __WASI_EVENTRWFLAGS_FD_READWRITE_HANGUP ? ", hangup" : "");
    }
    return seen;
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 2)
        usage("ADDRESS [TIMEOUT_MS]");
    uint64_t timeout_ns = strtoull(argument(argc, argv, 2, "500"), NULL, 10) * 1000000;
    int fd = dial(argv[1], STREAM);
    if (poll_both(fd, timeout_ns) != CLOCK)
        return 1;
    write_all(fd, "hello", 5);
    return poll_both(fd, 60000000000u) == DESCRIPTOR ? 0 : 1;
}
