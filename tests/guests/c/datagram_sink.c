/*
 * Takes the datagrams of one datagram_source, with a buffer of so many bytes, until none has come for three seconds.
 * Tells how many came, how many of them again, how many after a later one, how many were cut to fit the buffer, and
 * how many up to the last one never came. The exit code is 1 if a byte was not as it was sent.
 */
#include <wasi/api.h>

#include "common.h"

#define NUMBERS 100000

static unsigned char buffer[65536], seen[NUMBERS];

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    const char *bind = argument(argc, argv, 1, "0.0.0.0:9");
    size_t room = strtoul(argument(argc, argv, 2, "65536"), NULL, 10);
    if (room < 16 || room > sizeof buffer)
        usage("[BIND] [ROOM, 16 to 65536]");
    long came = 0, again = 0, late = 0, cut = 0, missing = 0, highest = -1;

    int control = listen_on(bind, DATAGRAM, 16, 0);
    int fd = accept_stream(control);
    if (fd < 0)
        die("accept", errno);
    for (;;) {
        struct pollfd one = {.fd = fd, .events = POLLIN};
        int ready = poll(&one, 1, 3000);
        if (ready < 0)
            die("poll", errno);
        if (!ready)
            break;
        __wasi_iovec_t into = {.buf = buffer, .buf_len = room};
        __wasi_size_t got;
        __wasi_roflags_t flags;
        __wasi_errno_t error = __wasi_sock_recv(fd, &into, 1, 0, &got, &flags);
        if (error)
            die("sock_recv", error);
        char *end;
        long number = strtol((char *)buffer, &end, 10);
        if (*end != ' ' || number < 0 || number >= NUMBERS) {
            fprintf(stderr, "%s: a datagram that nobody sent\n", guest_name);
            return 1;
        }
        for (size_t at = (size_t)(end - (char *)buffer) + 1; at < got; at++) {
            if (buffer[at] != pattern(at, (unsigned)number)) {
                fprintf(stderr, "%s: byte %zu of datagram %ld is wrong\n", guest_name, at, number);
                return 1;
            }
        }
        came++;
        cut += (flags & __WASI_ROFLAGS_RECV_DATA_TRUNCATED) != 0;
        again += seen[number];
        late += !seen[number] && number < highest;
        seen[number] = 1;
        highest = number > highest ? number : highest;
    }
    for (long number = 0; number <= highest; number++)
        missing += !seen[number];
    printf("%ld came: %ld again, %ld late, %ld cut; %ld of %ld never came\n", came, again, late, cut, missing,
           highest + 1);
    return 0;
}
