/*
 * Accepts connections and keeps them all; sends each byte of the first one back until the peer ends it. It waits in a
 * read and not in a poll over all of them, so that what grows with their number is the host's work alone. Of the
 * others it takes no stream: those of QUIC have none before their peer has written.
 */
#include "common.h"

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    int control = listen_on(argument(argc, argv, 1, "0.0.0.0:7"), STREAM, 1024, 0);
    long connections = atol(argument(argc, argv, 2, "1"));
    int first = -1;
    for (long i = 0; i < connections; i++) {
        int connection;
        int error = networking_accept(control, &connection);
        if (error)
            die("accept", error);
        if (i == 0)
            first = connection;
    }
    if (first >= 0) {
        int stream;
        int error = networking_stream_accept(first, &stream);
        if (error)
            die("stream_accept", error);
        close(first);
        first = stream;
    }
    char byte;
    while (first >= 0 && read_full(first, &byte, 1) == 1)
        write_all(first, &byte, 1);
    return 0;
}
