/* Accepts one connection and reads it to its end. Tells how much came, and the rate by its own clock. */
#include "common.h"

static unsigned char buffer[65536];

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    const char *bind = argument(argc, argv, 1, "0.0.0.0:5001");
    bool check = argc > 2;
    uint64_t received = 0;

    int control = listen_on(bind, STREAM, 1, 0);
    int fd = accept_stream(control);
    if (fd < 0)
        die("accept", errno);
    uint64_t start = now_ns();
    for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) != 0; received += (uint64_t)got) {
        if (got < 0)
            die("read", errno);
        for (ssize_t i = 0; check && i < got; i++) {
            if (buffer[i] != pattern(received + (uint64_t)i, 0)) {
                fprintf(stderr, "%s: byte %llu is wrong\n", guest_name, (unsigned long long)received + (unsigned)i);
                return 1;
            }
        }
    }
    double seconds = (double)(now_ns() - start) / 1e9;
    close(fd);
    printf("received %llu bytes in %.6f s: %.3f MB/s\n", (unsigned long long)received, seconds,
           seconds > 0 ? (double)received / 1e6 / seconds : 0);
    return 0;
}
