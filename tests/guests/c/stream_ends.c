/*
 * The ways a stream can end, and what each side sees of it. The server takes four streams of one connection: it reads the
 * first to its end, closes the second unread, and resets the third; the client resets the fourth. `reset`: the protocol has
 * no way to stop a writer but to reset the stream.
 */
#include "common.h"

static char buffer[256 * 1024];

static void expect(const char *what, ssize_t answer, ssize_t wanted, int error, int wanted_error)
{
    bool good = answer == wanted && (answer >= 0 || error == wanted_error);
    printf("%s: %s\n", what, answer < 0 ? strerror(error) : answer == 0 ? "the end" : "bytes");
    if (good)
        return;
    fprintf(stderr, "%s: %s: %zd, %s\n", guest_name, what, answer, strerror(error));
    exit(1);
}

static int taken(int error, const char *what, int fd)
{
    if (error)
        die(what, error);
    return fd;
}

static int next(int connection)
{
    int stream = -1;
    return taken(networking_stream_accept(connection, &stream), "stream_accept", stream);
}

static void serve(const char *address)
{
    int connection = -1, control = listen_on(address, STREAM, 1, 0);
    taken(networking_accept(control, &connection), "accept", connection);

    int first = next(connection);
    if (read_full(first, buffer, 5) != 5)
        die("first", EPROTO);
    expect("server, first, end", read(first, buffer, 1), 0, errno, 0);
    write_all(first, "done", 4);
    close(first);

    int second = next(connection);
    struct pollfd one = {.fd = second, .events = POLLIN};
    poll(&one, 1, -1);
    close(second); /* with bytes that nobody has read */

    int third = next(connection);
    if (read_full(third, buffer, 5) != 5)
        die("third", EPROTO);
    int error = networking_option_set(third, NETWORKING_SOCKET_OPTION_LINGER, 0);
    if (error)
        die("linger", error);
    write_all(third, buffer, sizeof buffer);
    close(third);

    /* The client resets this one. */
    int fourth = next(connection);
    ssize_t got;
    while ((got = read(fourth, buffer, sizeof buffer)) > 0)
        ;
    expect("server, fourth, reset", got, -1, errno, ECONNRESET);
    close(fourth);

    int stream;
    error = networking_stream_accept(connection, &stream);
    expect("server, closed connection", error ? -1 : 0, -1, error, ECONNABORTED);
}

static int opened(int connection)
{
    int stream = -1;
    return taken(networking_stream_create(connection, RIGHTS, 0, 0, &stream), "stream_create", stream);
}

/* Writes until that is answered with an error. */
static ssize_t write_on(int fd)
{
    ssize_t wrote;
    while ((wrote = write(fd, buffer, sizeof buffer)) >= 0)
        ;
    return wrote;
}

static void talk(const char *address, int stopped)
{
    int connection = connection_to(address, STREAM);

    int first = opened(connection);
    write_all(first, "hello", 5);
    shutdown(first, SHUT_WR);
    expect("client, first, write after the end", write(first, "x", 1), -1, errno, EPIPE);
    if (read_full(first, buffer, 4) != 4)
        die("first", EPROTO);
    expect("client, first, end", read(first, buffer, 1), 0, errno, 0);
    close(first);

    int second = opened(connection);
    write_all(second, "hello", 5);
    expect("client, second, stopped", write_on(second), -1, errno, stopped);
    close(second);

    int third = opened(connection);
    write_all(third, "hello", 5);
    ssize_t got;
    while ((got = read(third, buffer, sizeof buffer)) > 0)
        ;
    expect("client, third, reset", got, -1, errno, ECONNRESET);
    close(third);

    int fourth = opened(connection);
    write_all(fourth, buffer, sizeof buffer);
    int error = networking_option_set(fourth, NETWORKING_SOCKET_OPTION_LINGER, 0);
    if (error)
        die("linger", error);
    close(fourth);
    close(connection);
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 3)
        usage("ADDRESS serve|talk [reset]");
    if (!strcmp(argv[2], "serve"))
        serve(argv[1]);
    else
        talk(argv[1], argc > 3 ? ECONNRESET : EPIPE);
    return 0;
}
