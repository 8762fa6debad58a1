/* Tells each of its clients, and its own output, which application protocol they agreed on. */
#include "common.h"

/* Of a connection or a stream. */
static networking_size_t agreed(int fd, char *name, size_t room)
{
    networking_size_t len;
    int error = networking_application_protocol(fd, (uint8_t *)name, (networking_size_t)room, &len);
    if (error)
        die("application_protocol", error);
    return len;
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    int control = listen_on(argument(argc, argv, 1, "0.0.0.0:443"), STREAM, 128, 0);
    long max = atol(argument(argc, argv, 2, "0"));
    char name[256], same[256], byte;
    if (networking_application_protocol(control, (uint8_t *)name, sizeof name, &(networking_size_t){0}) != ENOTCONN)
        die("a control has agreed on nothing", EINVAL);
    for (long served = 0; max == 0 || served < max; served++) {
        int connection, stream;
        int error = networking_accept(control, &connection);
        if (!error)
            error = networking_stream_accept(connection, &stream);
        if (error)
            die("accept", error);
        networking_size_t len = agreed(connection, name, 255);
        if (agreed(stream, same, 255) != len || memcmp(name, same, len))
            die("a stream agreed on something else", EINVAL);
        if (len && networking_application_protocol(stream, (uint8_t *)same, len - 1, &(networking_size_t){0}) != EOVERFLOW)
            die("what does not fit", EINVAL);
        /* The client speaks first: it has to, over QUIC. */
        if (read_full(stream, &byte, 1) != 1)
            die("read", errno);
        name[len++] = '\n';
        write_all(stream, name, len);
        printf("%.*s", (int)len, name);
        fflush(stdout);
        close(stream);
        close(connection);
    }
    return 0;
}
