/* Connects, sends megabytes as fast as it can and waits until the peer has them all. Tells the rate by its own clock. */
#include "common.h"

static char buffer[65536];

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 3)
        usage("ADDRESS MEGABYTES [check]");
    uint64_t total = strtoull(argv[2], NULL, 10) * 1000000, sent = 0;
    bool check = argc > 3;

    int fd = dial(argv[1], STREAM);
    uint64_t start = now_ns();
    while (sent < total) {
        size_t len = total - sent < sizeof buffer ? (size_t)(total - sent) : sizeof buffer;
        for (size_t i = 0; check && i < len; i++)
            buffer[i] = (char)pattern(sent + i, 0);
        write_all(fd, buffer, len);
        sent += len;
    }
    if (shutdown(fd, SHUT_WR) < 0)
        die("shutdown", errno);
    /* The receiver's end of stream comes once it has read everything. */
    if (read_full(fd, buffer, 1) != 0) {
        fprintf(stderr, "%s: the receiver sent something\n", guest_name);
        return 1;
    }
    double seconds = (double)(now_ns() - start) / 1e9;
    printf("sent %llu bytes in %.6f s: %.3f MB/s\n", (unsigned long long)sent, seconds,
           seconds > 0 ? (double)sent / 1e6 / seconds : 0);
    return 0;
}
