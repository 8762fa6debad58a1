/* Tells each of its clients, and its own output, what address the client has. */
#include "common.h"

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    int control = listen_on(argument(argc, argv, 1, "0.0.0.0:13"), STREAM, 128, 0);
    long max = atol(argument(argc, argv, 2, "0"));
    for (long served = 0; max == 0 || served < max; served++) {
        char peer[256];
        networking_size_t len;
        int fd = accept_stream(control);
        if (fd < 0)
            die("accept", errno);
        int error = networking_peer_address(fd, (uint8_t *)peer, sizeof peer - 1, &len);
        if (error)
            die("peer_address", error);
        peer[len++] = '\n';
        write_all(fd, peer, len);
        printf("%.*s", (int)len, peer);
        fflush(stdout);
        close(fd);
    }
    return 0;
}
