/*
 * Connects, has its stack ask after so many seconds of silence whether the peer is still there, and waits for what the
 * peer sends: tells of its end, or of the error.
 */
#include "common.h"

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 3)
        usage("ADDRESS SECONDS");
    int fd = dial(argv[1], STREAM);
    int error = networking_option_set(fd, NETWORKING_SOCKET_OPTION_KEEP_ALIVE, strtoull(argv[2], NULL, 10));
    if (error)
        die("option_set", error);
    printf("connected\n");
    fflush(stdout);
    char byte;
    if (read_full(fd, &byte, 1) != 0) {
        fprintf(stderr, "%s: the peer sent something\n", guest_name);
        return 1;
    }
    printf("the peer's end after %llu s\n", (unsigned long long)(now_ns() / 1000000000));
    return 0;
}
