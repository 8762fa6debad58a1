/*
 * Accepts connections and keeps them all; sends each byte of the first one back until the peer ends it. It waits in a
 * read and not in a poll over all of them, so that what grows with their number is the host's work alone.
 */
#include "common.h"

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    int control = listen_on(argument(argc, argv, 1, "0.0.0.0:7"), STREAM, 1024, 0);
    long connections = atol(argument(argc, argv, 2, "1"));
    int first = -1;
    for (long i = 0; i < connections; i++) {
        int fd = accept_stream(control);
        if (fd < 0)
            die("accept", errno);
        if (i == 0)
            first = fd;
    }
    char byte;
    while (first >= 0 && read_full(first, &byte, 1) == 1)
        write_all(first, &byte, 1);
    return 0;
}
