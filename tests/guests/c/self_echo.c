/*
 * Talks to itself: for each address, listens there, connects to it, and checks that what goes in at one end comes out
 * at the other, both ways. Nothing waits, so one thread is enough.
 */
#include "common.h"

static void wait_for(int fd, short events)
{
    struct pollfd one = {.fd = fd, .events = events};
    if (poll(&one, 1, 5000) != 1) {
        fprintf(stderr, "%s: descriptor %d is not ready in 5 s\n", guest_name, fd);
        exit(1);
    }
}

/* One message through, checked. */
static void pass(int from, int to, const char *message)
{
    char got[256];
    size_t len = strlen(message);
    write_all(from, message, len);
    wait_for(to, POLLIN);
    if (read_full(to, got, len) != len || memcmp(got, message, len)) {
        fprintf(stderr, "%s: `%s` did not arrive\n", guest_name, message);
        exit(1);
    }
}

static void talk(const char *ip)
{
    char bind[64], local[64], peer[64];
    uint32_t local_len, peer_len;
    int error, connection, near;
    snprintf(bind, sizeof bind, "%s:0", ip);
    int listener = listen_on(bind, STREAM, 1, NONBLOCK);
    error = networking_local_address(listener, local, sizeof local - 1, &local_len);
    if (error)
        die("local_address", error);
    local[local_len] = 0;

    int control = open_towards(local, STREAM, NONBLOCK);
    error = networking_connect(control, local, &connection);
    if (error == NETWORKING_ERRNO_INPROGRESS) {
        wait_for(control, POLLOUT);
        error = networking_connect(control, local, &connection);
    }
    if (!error)
        error = networking_stream_create(connection, RIGHTS, 0, 0, &near);
    if (error)
        die(local, error);
    wait_for(listener, POLLIN);
    int far = accept_stream(listener);
    if (far < 0)
        die("accept", errno);
    error = networking_peer_address(near, peer, sizeof peer, &peer_len);
    if (error || peer_len != local_len || memcmp(peer, local, peer_len))
        die("peer_address", error);
    pass(near, far, "there");
    pass(far, near, "and back");
    close(near), close(far), close(connection), close(control), close(listener);
    printf("%s: there and back\n", ip);
}

int main(int argc, char **argv)
{
    guest_name = argv[0];
    for (int i = 1; i < argc; i++)
        talk(argv[i]);
    return 0;
}
