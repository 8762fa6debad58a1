/*
 * What the ABI answers to calls on Unix-domain sockets: paths and errors, names of peers, streams and datagrams, all within
 * one guest. Prints each answer that is another.
 *
 *   unix_answers [PROTOCOL] [FORBIDDEN]
 *
 * FORBIDDEN is a path outside the protocol object's policy.
 */
#include "expect.h"

static int unix_fd;
static char got[70000], large[70000];

static int open_at(const char *path, networking_filetype_t type, networking_fdflags_t flags, int *control)
{
    return networking_open(unix_fd, path, type, RIGHTS, RIGHTS, flags, control);
}

static int listener(const char *path, networking_filetype_t type)
{
    int control = -1;
    EXPECT(0, open_at(path, type, 0, &control));
    EXPECT(0, networking_listen(control, 4));
    return control;
}

/* A stream to `path` from a control bound to `own`, which may be empty. */
static int stream_to(const char *path, const char *own, networking_filetype_t type)
{
    int control = -1, connection = -1, stream = -1;
    EXPECT(0, open_at(own, type, 0, &control));
    EXPECT(0, networking_connect(control, path, &connection));
    EXPECT(0, networking_stream_create(connection, RIGHTS, 0, 0, &stream));
    close(connection), close(control);
    return stream;
}

typedef networking_errno_t address_of(networking_fd_t, void *, networking_size_t, networking_size_t *);

static const char *address(int fd, address_of *of)
{
    static char text[2][256];
    static int which;
    networking_size_t len = 0;
    char *into = text[which ^= 1];
    EXPECT(0, of(fd, into, 255, &len));
    into[len] = 0;
    return into;
}

static bool ready(int fd, short events, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = events};
    return poll(&one, 1, timeout_ms) == 1;
}

static void paths(const char *forbidden)
{
    static const char *const none[] = {"run/x", "/", "/run/", "/run//x", "/run/./x", "/run/../x", "@x", "127.0.0.1:7"};
    int control, other, connection;
    char longest[110] = "/";
    memset(longest + 1, 'x', 107);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        EXPECT(EINVAL, open_at(none[i], STREAM, 0, &control));
    EXPECT(EINVAL, open_at(longest, STREAM, 0, &control));
    longest[107] = 0;
    EXPECT(0, open_at(longest, STREAM, 0, &control));
    SAME(0, strcmp(longest, address(control, networking_local_address)));
    EXPECT(ENOTCONN, networking_peer_address(control, got, sizeof got, &(networking_size_t){0}));
    close(control);

    EXPECT(0, open_at("", STREAM, 0, &control));
    SAME(0, strcmp("", address(control, networking_local_address)));
    EXPECT(EINVAL, networking_listen(control, 1));
    EXPECT(EINVAL, networking_accept(control, &connection));
    EXPECT(EINVAL, networking_connect(control, "run/x", &connection));
    EXPECT(ENOENT, networking_connect(control, "/run/nobody", &connection));

    EXPECT(0, open_at("/run/taken", STREAM, 0, &other));
    EXPECT(EADDRINUSE, open_at("/run/taken", STREAM, 0, &connection));
    EXPECT(EADDRINUSE, open_at("/run/taken", DATAGRAM, NONBLOCK, &connection));
    /* Bound, and nobody listens. */
    EXPECT(ECONNREFUSED, networking_connect(control, "/run/taken", &connection));
    EXPECT(0, networking_listen(other, 1));
    EXPECT(0, networking_connect(control, "/run/taken", &connection));
    close(connection), close(control);
    EXPECT(0, open_at("", DATAGRAM, 0, &control));
    EXPECT(EPROTOTYPE, networking_connect(control, "/run/taken", &connection));
    close(control), close(other);
    /* Free at once. */
    EXPECT(0, open_at("/run/taken", DATAGRAM, 0, &other));
    close(other);

    if (forbidden) {
        EXPECT(EACCES, open_at(forbidden, STREAM, 0, &control));
        EXPECT(0, open_at("", STREAM, 0, &control));
        EXPECT(EACCES, networking_connect(control, forbidden, &connection));
        close(control);
    }
}

static void connecting_without_waiting(void)
{
    int server = listener("/run/s", STREAM), control, connection;
    EXPECT(0, open_at("", STREAM, NONBLOCK, &control));
    EXPECT(EINPROGRESS, networking_connect(control, "/run/s", &connection));
    EXPECT(EALREADY, networking_connect(control, "/run/other", &connection));
    SAME(true, ready(control, POLLOUT, 5000));
    EXPECT(0, networking_connect(control, "/run/s", &connection));
    close(connection);
    EXPECT(EINPROGRESS, networking_connect(control, "/run/nobody", &connection));
    SAME(true, ready(control, POLLOUT, 5000));
    EXPECT(ENOENT, networking_connect(control, "/run/nobody", &connection));
    close(control), close(server);
}

static void streams(void)
{
    int server = listener("/run/s", STREAM), far, connection;
    int near = stream_to("/run/s", "/run/me", STREAM), unnamed = stream_to("/run/s", "", STREAM);
    SAME(true, ready(server, POLLIN, 5000));
    EXPECT(0, networking_accept(server, &connection));
    EXPECT(0, networking_stream_accept(connection, &far));
    EXPECT(ENOTSUP, networking_stream_accept(connection, &(int){0}));
    SAME(0, strcmp("/run/me", address(far, networking_peer_address)));
    SAME(0, strcmp("/run/s", address(connection, networking_local_address)));
    SAME(0, strcmp("/run/s", address(near, networking_peer_address)));
    SAME(0, strcmp("/run/me", address(near, networking_local_address)));
    close(connection);
    SAME(5, write(near, "hello", 5));
    SAME(5, read_full(far, got, 5));
    SAME(0, memcmp("hello", got, 5));
    SAME(0, shutdown(near, SHUT_WR));
    SAME(0, read(far, got, 1));
    SAME(3, write(far, "bye", 3));
    close(far);
    SAME(3, read_full(near, got, sizeof got));
    close(near);

    EXPECT(0, networking_accept(server, &connection));
    EXPECT(0, networking_stream_accept(connection, &far));
    SAME(0, strcmp("", address(far, networking_peer_address)));
    close(connection);
    uint64_t value;
    EXPECT(0, networking_option_get(far, NETWORKING_SOCKET_OPTION_SEND_BUFFER, &value));
    SAME(65536, value);
    EXPECT(ENOPROTOOPT, networking_option_set(far, NETWORKING_SOCKET_OPTION_NO_DELAY, 1));
    /* A connection goes on when its path is gone. */
    close(server);
    SAME(1, write(unnamed, "x", 1));
    SAME(1, read_full(far, got, 1));
    close(far), close(unnamed);
}

static void datagrams(void)
{
    int server = listener("/run/d", DATAGRAM), far, connection;
    int near = stream_to("/run/d", "", DATAGRAM);
    EXPECT(0, networking_accept(server, &connection));
    EXPECT(0, networking_stream_accept(connection, &far));
    close(connection);
    fcntl(far, F_SETFL, O_NONBLOCK);
    SAME(-1, read(far, got, sizeof got));
    SAME(EAGAIN, errno);
    SAME(3, write(near, "one", 3));
    SAME(0, write(near, "", 0));
    SAME(65535, write(near, large, 65535));
    SAME(-1, write(near, large, 65536));
    SAME(EMSGSIZE, errno);
    SAME(true, ready(far, POLLIN, 5000));
    __wasi_iovec_t into = {(uint8_t *)got, 2};
    size_t len;
    __wasi_roflags_t flags;
    EXPECT(0, __wasi_sock_recv(far, &into, 1, __WASI_RIFLAGS_RECV_PEEK, &len, &flags));
    SAME(2, len);
    EXPECT(0, __wasi_sock_recv(far, &into, 1, 0, &len, &flags));
    SAME(2, len);
    SAME(__WASI_ROFLAGS_RECV_DATA_TRUNCATED, flags);
    SAME(true, ready(far, POLLIN, 5000));
    SAME(0, read(far, got, sizeof got));
    SAME(true, ready(far, POLLIN, 5000));
    SAME(65535, read(far, got, sizeof got));
    SAME(0, memcmp(got, large, 65535));
    /* Nothing is lost: who writes too much waits. */
    fcntl(near, F_SETFL, O_NONBLOCK);
    long sent = 0, had = 0;
    while (ready(near, POLLOUT, 200) && write(near, large, 65535) == 65535)
        sent++;
    SAME(-1, write(near, large, 65535));
    SAME(EAGAIN, errno);
    SAME(true, sent >= 3 && sent <= 12);
    while (ready(far, POLLIN, 200) && read(far, got, sizeof got) == 65535)
        had++;
    SAME(sent, had);
    SAME(true, ready(near, POLLOUT, 5000));
    SAME(4, write(near, "last", 4));
    close(near);
    SAME(true, ready(far, POLLIN, 5000));
    SAME(4, read(far, got, sizeof got));
    SAME(true, ready(far, POLLIN, 5000));
    SAME(-1, read(far, got, sizeof got));
    SAME(ECONNRESET, errno);
    SAME(-1, write(far, "x", 1));
    SAME(ECONNREFUSED, errno);
    close(far), close(server);
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc > 2)
        usage("[FORBIDDEN]");
    unix_fd = protocol_for("/");
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)pattern(i, 1);
    paths(argc > 1 ? argv[1] : NULL);
    connecting_without_waiting();
    streams();
    datagrams();
    return verdict();
}
