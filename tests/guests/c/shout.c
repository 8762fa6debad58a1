/*
 * Writes and is gone, without waiting for an answer: what was written arrives all the same. With `trap` it does not
 * end in order but by a trap.
 */
#include "common.h"

static unsigned char buffer[65536];

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 3)
        usage("ADDRESS BYTES [trap]");
    size_t total = strtoul(argv[2], NULL, 10), sent = 0;
    int fd = dial(argv[1], STREAM);
    while (sent < total) {
        size_t len = total - sent < sizeof buffer ? total - sent : sizeof buffer;
        for (size_t i = 0; i < len; i++)
            buffer[i] = pattern(sent + i, 0);
        write_all(fd, buffer, len);
        sent += len;
    }
    printf("wrote %zu bytes\n", sent);
    fflush(stdout);
    if (argc > 3)
        __builtin_trap();
    return 0;
}
