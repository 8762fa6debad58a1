/* Connects, one byte each way, closes, again and again. */
#include "common.h"

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 3)
        usage("ADDRESS COUNT");
    long count = atol(argv[2]);
    uint64_t start = now_ns();
    for (long i = 0; i < count; i++) {
        char sent = (char)i, got;
        int fd = dial(argv[1], STREAM);
        write_all(fd, &sent, 1);
        if (read_full(fd, &got, 1) != 1 || got != sent) {
            fprintf(stderr, "%s: connection %ld got no answer\n", guest_name, i);
            return 1;
        }
        close(fd);
    }
    uint64_t elapsed = now_ns() - start;
    printf("%ld connections: %.1f ns each\n", count, count > 0 ? (double)elapsed / (double)count : 0);
    return 0;
}
