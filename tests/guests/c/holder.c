/*
 * Holds many connections open and talks over the first of them: what does a request cost beside all the others?
 * The peer sends everything back, as poll_server and hold_server do.
 */
#include "common.h"

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 4)
        usage("ADDRESS CONNECTIONS ROUND_TRIPS");
    long connections = atol(argv[2]), rounds = atol(argv[3]);
    int first = -1;

    uint64_t start = now_ns();
    for (long i = 0; i < connections; i++) {
        int fd = dial(argv[1], STREAM);
        if (i == 0)
            first = fd;
    }
    uint64_t opened = now_ns();
    printf("%ld connections: %.1f ns each\n", connections,
           connections > 0 ? (double)(opened - start) / (double)connections : 0);
    /* Whoever measures by a clock of their own learns from this line that the round trips begin. */
    fflush(stdout);
    for (long i = 0; i < rounds && first >= 0; i++) {
        char sent = (char)i, got;
        write_all(first, &sent, 1);
        if (read_full(first, &got, 1) != 1 || got != sent) {
            fprintf(stderr, "%s: byte %ld did not come back\n", guest_name, i);
            return 1;
        }
    }
    uint64_t done = now_ns();
    printf("%ld round trips: %.1f ns each\n", rounds, rounds > 0 ? (double)(done - opened) / (double)rounds : 0);
    return 0;
}
