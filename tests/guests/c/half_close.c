/*
 * Sends bytes to an echo server, ends its own direction at once, and reads on until the server ends the other: all of
 * it comes back, whatever of it was still on its way as the first direction ended.
 */
#include "common.h"

static unsigned char buffer[65536];

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 2)
        usage("ADDRESS [BYTES]");
    size_t total = strtoul(argument(argc, argv, 2, "50000"), NULL, 10);
    if (total > sizeof buffer)
        usage("ADDRESS [BYTES], of which there are 65536 at most");
    for (size_t i = 0; i < total; i++)
        buffer[i] = pattern(i, 0);

    int fd = dial(argv[1], STREAM);
    write_all(fd, buffer, total);
    if (shutdown(fd, SHUT_WR) < 0)
        die("shutdown", errno);
    printf("sent %zu bytes and the end\n", total);
    fflush(stdout);
    size_t back = 0;
    for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) != 0; back += (size_t)got) {
        if (got < 0)
            die("read", errno);
        for (ssize_t i = 0; i < got; i++) {
            if (buffer[i] != pattern(back + (size_t)i, 0)) {
                fprintf(stderr, "%s: byte %zu is wrong\n", guest_name, back + (size_t)i);
                return 1;
            }
        }
    }
    printf("%zu bytes came back\n", back);
    return back != total;
}
