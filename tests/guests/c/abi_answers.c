/*
 * The exact answers of the networking ABI where nothing is wrong, or where time and the peer decide: what is
 * preopened, rights as they are handed down, connections in progress, readiness to the byte, ends and resets,
 * datagrams. `hostile` has those to calls that are wrong. Everything goes over 127.0.0.1, within this guest.
 *
 * Wants a listener as descriptor 3, a directory as 4, and the protocol object "ipv4" behind them.
 */
#include "expect.h"

#define WITHOUT(right) (RIGHTS & ~(uint64_t)(right))
#define NAME_MAX_BYTES 64

static int ipv4;

struct pair {
    int near, far; /* the two streams */
};

/* Lets 50 ms pass, in which whatever is under way arrives. */
static void settle(void)
{
    usleep(50000);
}

static int open_control(const char *bind, int type, uint64_t base, uint64_t inheriting, int flags)
{
    int control = -1;
    EXPECT(0, networking_open(ipv4, bind, type, base, inheriting, flags, &control));
    return control;
}

/* The address of a descriptor, as `connect` takes it. */
static const char *address_of(int fd)
{
    static char text[NAME_MAX_BYTES];
    uint32_t len = 0;
    EXPECT(0, networking_local_address(fd, text, sizeof text - 1, &len));
    text[len] = 0;
    return text;
}

static int listener(int type, uint64_t inheriting)
{
    int control = open_control("127.0.0.1:0", type, RIGHTS, inheriting, NONBLOCK);
    EXPECT(0, networking_listen(control, 8));
    return control;
}

/* Connects, and gives the connection. */
static int connect_to(const char *address)
{
    int control = open_control("127.0.0.1:0", STREAM, RIGHTS, RIGHTS, 0), connection = -1;
    EXPECT(0, networking_connect(control, address, &connection));
    close(control);
    return connection;
}

/* Two streams of one TCP connection; the one that was accepted does not block. */
static struct pair stream_pair(void)
{
    struct pair pair;
    int control = listener(STREAM, RIGHTS);
    int connection = connect_to(address_of(control));
    EXPECT(0, networking_stream_create(connection, RIGHTS, 0, NONBLOCK, &pair.near));
    settle();
    pair.far = accept_stream(control);
    close(connection), close(control);
    return pair;
}

static __wasi_event_t poll_one(int fd, int tag)
{
    __wasi_subscription_t wanted[2] = {{.userdata = 7, .u = {.tag = tag}}, {.u = {.tag = __WASI_EVENTTYPE_CLOCK}}};
    __wasi_event_t events[2] = {0};
    __wasi_size_t count;
    wanted[0].u.u.fd_read.file_descriptor = fd;
    wanted[1].u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
    wanted[1].u.u.clock.timeout = 200000000; /* long for a busy machine too, where the guest runs live */
    EXPECT(0, __wasi_poll_oneoff(wanted, events, 2, &count));
    if (events[0].userdata != 7) /* only the clock */
        events[0] = (__wasi_event_t){.error = EAGAIN};
    return events[0];
}

static int hangup(__wasi_event_t event)
{
    return event.fd_readwrite.flags & __WASI_EVENTRWFLAGS_FD_READWRITE_HANGUP;
}

static void preopened_things(void)
{
    static const char *const names[] = {"web", "/box", "ipv4"};
    for (int fd = 3; fd < 6; fd++) {
        char name[NAME_MAX_BYTES] = "";
        __wasi_prestat_t about = {0};
        EXPECT(0, __wasi_fd_prestat_get(fd, &about));
        SAME(fd == 4 ? 0 : 1, about.tag);
        SAME(strlen(names[fd - 3]), about.u.dir.pr_name_len);
        EXPECT(ENAMETOOLONG, __wasi_fd_prestat_dir_name(fd, (uint8_t *)name, 2));
        EXPECT(0, __wasi_fd_prestat_dir_name(fd, (uint8_t *)name, sizeof name));
        SAME(0, strcmp(name, names[fd - 3]));
    }
    SAME(3, networking_find("web"));
    __wasi_fdstat_t about;
    EXPECT(0, __wasi_fd_fdstat_get(ipv4, &about));
    SAME(__WASI_FILETYPE_UNKNOWN, about.fs_filetype);
    EXPECT(0, __wasi_fd_fdstat_get(3, &about));
    SAME(__WASI_FILETYPE_SOCKET_STREAM, about.fs_filetype);
    SAME(0, strcmp(address_of(3), "0.0.0.0:80"));
    int connection = connect_to("127.0.0.1:80");
    int fd = accept_stream(3);
    SAME(0, fd < 0);
    EXPECT(EBADF, __wasi_fd_prestat_get(fd, &(__wasi_prestat_t){0}));
    close(fd), close(connection);
}

static void rights_are_handed_down(void)
{
    __wasi_fdstat_t about;
    __wasi_filestat_t file;
    __wasi_size_t len;
    char byte = 'x';
    __wasi_ciovec_t from = {(uint8_t *)&byte, 1};
    int connection, accepted, stream;
    uint64_t inheriting = NETWORKING_RIGHTS_FD_READ | NETWORKING_RIGHTS_POLL_FD_READWRITE;
    int control = listener(STREAM, inheriting);
    int peer = connect_to(address_of(control));
    settle();
    EXPECT(0, networking_accept(control, &connection));
    EXPECT(0, __wasi_fd_fdstat_get(connection, &about));
    SAME(__WASI_FDFLAGS_NONBLOCK, about.fs_flags);
    SAME(__WASI_FILETYPE_SOCKET_STREAM, about.fs_filetype);
    SAME(__WASI_RIGHTS_FD_READ | __WASI_RIGHTS_POLL_FD_READWRITE, about.fs_rights_base);
    EXPECT(ENOTCAPABLE, __wasi_fd_fdstat_set_flags(connection, 0));
    EXPECT(ENOTCAPABLE, __wasi_fd_filestat_get(connection, &file));
    EXPECT(ENOTCAPABLE, networking_stream_create(connection, RIGHTS, 0, 0, &stream));
    EXPECT(0, networking_stream_accept(connection, &accepted));
    EXPECT(0, __wasi_fd_fdstat_get(accepted, &about));
    SAME(__WASI_RIGHTS_FD_READ | __WASI_RIGHTS_POLL_FD_READWRITE, about.fs_rights_base);
    EXPECT(ENOTCAPABLE, __wasi_fd_write(accepted, &from, 1, &len));
    EXPECT(ENOTCAPABLE, __wasi_sock_shutdown(accepted, __WASI_SDFLAGS_WR));
    EXPECT(0, __wasi_fd_fdstat_set_rights(accepted, __WASI_RIGHTS_FD_READ, 0));
    EXPECT(ENOTCAPABLE, __wasi_fd_fdstat_set_rights(accepted, __WASI_RIGHTS_POLL_FD_READWRITE, 0));
    SAME(ENOTCAPABLE, poll_one(accepted, __WASI_EVENTTYPE_FD_READ).error);
    SAME(EINVAL, poll_one(ipv4, __WASI_EVENTTYPE_FD_READ).error);
    SAME(EBADF, poll_one(999, __WASI_EVENTTYPE_FD_WRITE).error);
    close(accepted), close(connection), close(peer), close(control);
}

/* Each call of `networking` needs a right of its own, and that one alone. */
static void calls_need_their_rights(void)
{
    uint64_t value;
    int connection;
    int control = open_control("127.0.0.1:0", STREAM, WITHOUT(NETWORKING_RIGHTS_FD_READ), RIGHTS, NONBLOCK);
    EXPECT(ENOTCAPABLE, networking_listen(control, 1));
    EXPECT(ENOTCAPABLE, networking_accept(control, &connection));
    EXPECT(ENOTCAPABLE, __wasi_sock_accept(control, 0, &connection));
    EXPECT(EINPROGRESS, networking_connect(control, "127.0.0.1:9", &connection));
    close(control);
    control = open_control("127.0.0.1:0", STREAM, WITHOUT(NETWORKING_RIGHTS_FD_WRITE), RIGHTS, NONBLOCK);
    EXPECT(ENOTCAPABLE, networking_connect(control, "127.0.0.1:9", &connection));
    EXPECT(0, networking_listen(control, 1));
    EXPECT(EAGAIN, networking_accept(control, &connection));
    close(control);
    control = open_control("127.0.0.1:0", STREAM, WITHOUT(NETWORKING_RIGHTS_FD_FILESTAT_GET), RIGHTS, 0);
    EXPECT(ENOTCAPABLE, networking_option_get(control, NETWORKING_SOCKET_OPTION_NO_DELAY, &value));
    EXPECT(0, networking_option_set(control, NETWORKING_SOCKET_OPTION_NO_DELAY, 1));
    close(control);
    control = open_control("127.0.0.1:0", STREAM, WITHOUT(NETWORKING_RIGHTS_FD_FDSTAT_SET_FLAGS), RIGHTS, 0);
    EXPECT(ENOTCAPABLE, networking_option_set(control, NETWORKING_SOCKET_OPTION_NO_DELAY, 1));
    EXPECT(0, networking_option_get(control, NETWORKING_SOCKET_OPTION_NO_DELAY, &value));
    close(control);
    control = open_control("127.0.0.1:0", STREAM, 0, 0, 0);
    SAME(0, strncmp(address_of(control), "127.0.0.1:", 10)); /* addresses are no secret */
    close(control);
}

/* What never comes is answered at once, and not waited for. */
static void waiting_for_nothing(void)
{
    int connection, near;
    for (int type = DATAGRAM; type <= STREAM; type++) {
        int control = listener(type, RIGHTS);
        int from = open_control("127.0.0.1:0", type, RIGHTS, RIGHTS, 0);
        SAME(EINVAL, poll_one(from, __WASI_EVENTTYPE_FD_READ).error);
        if (type == STREAM) {
            SAME(EINVAL, poll_one(from, __WASI_EVENTTYPE_FD_WRITE).error);
            SAME(EINVAL, poll_one(control, __WASI_EVENTTYPE_FD_WRITE).error);
        }
        SAME(EAGAIN, poll_one(control, __WASI_EVENTTYPE_FD_READ).error);
        EXPECT(0, networking_connect(from, address_of(control), &connection));
        SAME(EINVAL, poll_one(from, __WASI_EVENTTYPE_FD_READ).error);
        SAME(0, poll_one(connection, __WASI_EVENTTYPE_FD_READ).error);
        SAME(EINVAL, poll_one(connection, __WASI_EVENTTYPE_FD_WRITE).error);
        EXPECT(0, networking_stream_create(connection, RIGHTS, 0, 0, &near));
        SAME(EAGAIN, poll_one(near, __WASI_EVENTTYPE_FD_READ).error);
        SAME(0, poll_one(near, __WASI_EVENTTYPE_FD_WRITE).error);
        close(near), close(connection), close(from), close(control);
    }
}

static void connecting(void)
{
    int connection, second, near;
    int control = listener(STREAM, RIGHTS);
    char address[NAME_MAX_BYTES];
    strcpy(address, address_of(control));
    int from = open_control("0.0.0.0:0", STREAM, RIGHTS, RIGHTS, NONBLOCK);
    SAME(1, atoi(strchr(address_of(from), ':') + 1) >= 49152);
    EXPECT(EINPROGRESS, networking_connect(from, address, &connection));
    EXPECT(EALREADY, networking_connect(from, "127.0.0.1:9", &connection));
    EXPECT(EISCONN, networking_listen(from, 1));
    EXPECT(EINVAL, networking_connect(control, "127.0.0.1:9", &connection));
    SAME(0, poll_one(from, __WASI_EVENTTYPE_FD_WRITE).error);
    EXPECT(0, networking_connect(from, address, &connection));
    /* Once more to the same peer, from another port. */
    EXPECT(EINPROGRESS, networking_connect(from, address, &second));
    SAME(0, poll_one(from, __WASI_EVENTTYPE_FD_WRITE).error);
    EXPECT(0, networking_connect(from, address, &second));
    settle();
    __wasi_event_t waiting = poll_one(control, __WASI_EVENTTYPE_FD_READ);
    SAME(2, waiting.fd_readwrite.nbytes);
    /* One of them is reset while it waits: `accept` passes over it. */
    EXPECT(0, networking_option_set(second, NETWORKING_SOCKET_OPTION_LINGER, 0));
    close(second);
    settle();
    int far = accept_stream(control);
    SAME(0, far < 0);
    SAME(-1, accept_stream(control));
    SAME(EAGAIN, errno);
    /* Refused, and then it can try again. */
    EXPECT(EINPROGRESS, networking_connect(from, "127.0.0.1:9", &second));
    settle();
    EXPECT(ECONNREFUSED, networking_connect(from, "127.0.0.1:9", &second));
    EXPECT(EINPROGRESS, networking_connect(from, "127.0.0.1:9", &second));
    /* A connection may be closed under its stream. */
    EXPECT(0, networking_stream_create(connection, RIGHTS, 0, 0, &near));
    EXPECT(ENOTSUP, networking_stream_accept(connection, &second));
    close(connection);
    write_all(near, "x", 1);
    settle();
    SAME(1, poll_one(far, __WASI_EVENTTYPE_FD_READ).fd_readwrite.nbytes);
    char text[NAME_MAX_BYTES];
    uint32_t len;
    EXPECT(0, networking_peer_address(near, text, sizeof text, &len));
    SAME(0, strncmp(text, address, len));
    EXPECT(EOVERFLOW, networking_peer_address(near, text, 4, &len));
    /* TCP agrees on nothing. */
    EXPECT(ENOPROTOOPT, networking_application_protocol(near, text, sizeof text, &len));
    close(near), close(far), close(from), close(control);
}

static void streams_to_the_byte(void)
{
    struct pair pair = stream_pair();
    char got[16];
    SAME(EAGAIN, poll_one(pair.far, __WASI_EVENTTYPE_FD_READ).error);
    SAME(-1, read(pair.far, got, sizeof got));
    SAME(EAGAIN, errno);
    write_all(pair.near, "12345678", 8);
    settle();
    __wasi_event_t event = poll_one(pair.far, __WASI_EVENTTYPE_FD_READ);
    SAME(8, event.fd_readwrite.nbytes);
    SAME(0, hangup(event));
    SAME(65536, poll_one(pair.far, __WASI_EVENTTYPE_FD_WRITE).fd_readwrite.nbytes);
    SAME(3, recv(pair.far, got, 3, MSG_PEEK));
    SAME(5, recv(pair.far, got, 5, MSG_WAITALL));
    SAME('1', got[0]);
    SAME(0, shutdown(pair.near, SHUT_WR));
    SAME(-1, write(pair.near, "x", 1));
    SAME(EPIPE, errno);
    settle();
    event = poll_one(pair.far, __WASI_EVENTTYPE_FD_READ);
    SAME(3, event.fd_readwrite.nbytes);
    SAME(1, hangup(event));
    SAME(3, read(pair.far, got, sizeof got));
    SAME(0, read(pair.far, got, sizeof got));
    event = poll_one(pair.far, __WASI_EVENTTYPE_FD_READ);
    SAME(0, event.fd_readwrite.nbytes);
    SAME(1, hangup(event));
    /* The other way is open still. */
    write_all(pair.far, "back", 4);
    settle();
    SAME(4, read(pair.near, got, sizeof got));
    close(pair.near), close(pair.far);
}

static void ends_and_resets(void)
{
    char got[16];
    struct pair pair = stream_pair();
    close(pair.near); /* with nothing unread: an end */
    settle();
    SAME(0, read(pair.far, got, sizeof got));
    SAME(1, write(pair.far, "x", 1)); /* it may have closed one way alone, for all that is known here */
    settle();
    SAME(-1, write(pair.far, "x", 1));
    SAME(EPIPE, errno);
    SAME(0, read(pair.far, got, sizeof got));
    close(pair.far);

    pair = stream_pair();
    write_all(pair.far, "unread", 6);
    settle();
    close(pair.near); /* with something unread: a reset */
    settle();
    __wasi_event_t event = poll_one(pair.far, __WASI_EVENTTYPE_FD_READ);
    SAME(0, event.fd_readwrite.nbytes);
    SAME(1, hangup(event));
    SAME(-1, read(pair.far, got, sizeof got));
    SAME(ECONNRESET, errno);
    SAME(-1, write(pair.far, "x", 1));
    SAME(ECONNRESET, errno);
    close(pair.far);

    pair = stream_pair();
    struct pair other = stream_pair();
    EXPECT(0, __wasi_fd_renumber(other.near, pair.near)); /* closes what was there */
    EXPECT(EBADF, __wasi_fd_close(other.near));
    settle();
    SAME(0, read(pair.far, got, sizeof got));
    write_all(pair.near, "moved", 5);
    settle();
    SAME(5, read(other.far, got, sizeof got));
    close(pair.near), close(pair.far), close(other.far);
}

static void options(void)
{
    uint64_t value = 0;
    int control = open_control("127.0.0.1:0", STREAM, RIGHTS, RIGHTS, 0);
    EXPECT(0, networking_option_get(control, NETWORKING_SOCKET_OPTION_LINGER, &value));
    SAME(10000, value);
    EXPECT(0, networking_option_get(control, NETWORKING_SOCKET_OPTION_NO_DELAY, &value));
    SAME(0, value);
    EXPECT(0, networking_option_set(control, NETWORKING_SOCKET_OPTION_NO_DELAY, 1));
    EXPECT(0, networking_option_get(control, NETWORKING_SOCKET_OPTION_NO_DELAY, &value));
    SAME(1, value);
    EXPECT(EINVAL, networking_option_set(control, NETWORKING_SOCKET_OPTION_NO_DELAY, 2));
    EXPECT(EINVAL, networking_option_set(control, NETWORKING_SOCKET_OPTION_HOP_LIMIT, 0));
    EXPECT(0, networking_option_set(control, NETWORKING_SOCKET_OPTION_RECEIVE_BUFFER, 1));
    EXPECT(0, networking_option_get(control, NETWORKING_SOCKET_OPTION_RECEIVE_BUFFER, &value));
    SAME(4096, value);
    EXPECT(EINVAL, networking_option_get(ipv4, NETWORKING_SOCKET_OPTION_HOP_LIMIT, &value));
    close(control);
    control = open_control("127.0.0.1:0", DATAGRAM, RIGHTS, RIGHTS, 0);
    EXPECT(ENOPROTOOPT, networking_option_set(control, NETWORKING_SOCKET_OPTION_NO_DELAY, 1));
    EXPECT(ENOPROTOOPT, networking_option_get(control, NETWORKING_SOCKET_OPTION_LINGER, &value));
    EXPECT(0, networking_option_set(control, NETWORKING_SOCKET_OPTION_HOP_LIMIT, 9));
    EXPECT(0, networking_option_get(control, NETWORKING_SOCKET_OPTION_HOP_LIMIT, &value));
    SAME(9, value);
    close(control);
}

static void datagrams(void)
{
    static char large[70000];
    char got[16];
    int connection, near, flow, other;
    __wasi_size_t len;
    __wasi_roflags_t flags = 0;
    __wasi_iovec_t into = {(uint8_t *)got, 4};
    int control = listener(DATAGRAM, RIGHTS);
    int from = open_control("127.0.0.1:0", DATAGRAM, RIGHTS, RIGHTS, 0);
    EXPECT(EINVAL, networking_accept(from, &other));
    EXPECT(0, networking_connect(from, address_of(control), &connection));
    EXPECT(EISCONN, networking_listen(from, 1));
    EXPECT(EISCONN, networking_connect(from, address_of(control), &other));
    EXPECT(0, networking_stream_create(connection, RIGHTS, 0, NONBLOCK, &near));
    EXPECT(ENOTSUP, networking_stream_create(connection, RIGHTS, 0, 0, &other));
    EXPECT(EAGAIN, networking_accept(control, &other));
    SAME(7, write(near, "one two", 7));
    SAME(0, write(near, "", 0));
    settle();
    SAME(1, poll_one(control, __WASI_EVENTTYPE_FD_READ).fd_readwrite.nbytes);
    flow = accept_stream(control);
    EXPECT(EAGAIN, networking_accept(control, &other)); /* one peer, one flow */
    SAME(7, poll_one(flow, __WASI_EVENTTYPE_FD_READ).fd_readwrite.nbytes);
    EXPECT(0, __wasi_sock_recv(flow, &into, 1, __WASI_RIFLAGS_RECV_PEEK, &len, &flags));
    SAME(4, len);
    EXPECT(0, __wasi_sock_recv(flow, &into, 1, 0, &len, &flags));
    SAME(4, len);
    SAME(__WASI_ROFLAGS_RECV_DATA_TRUNCATED, flags);
    EXPECT(0, __wasi_sock_recv(flow, &into, 1, 0, &len, &flags)); /* the empty one */
    SAME(0, len);
    SAME(0, flags);
    EXPECT(EAGAIN, __wasi_sock_recv(flow, &into, 1, 0, &len, &flags));
    SAME(4, write(flow, "back", 4));
    settle();
    SAME(4, read(near, got, sizeof got));
    SAME(65507, write(near, large, 65507));
    SAME(-1, write(near, large, 65508));
    SAME(EMSGSIZE, errno);
    SAME(-1, write(near, large, sizeof large));
    SAME(EMSGSIZE, errno);
    SAME(0, shutdown(near, SHUT_WR)); /* the peer hears nothing of it */
    SAME(-1, write(near, "x", 1));
    SAME(EPIPE, errno);
    SAME(4, write(flow, "more", 4));
    settle();
    SAME(4, read(near, got, sizeof got));
    close(near), close(flow), close(connection), close(from), close(control);

    /* Nobody listens there, and says so. */
    from = open_control("127.0.0.1:0", DATAGRAM, RIGHTS, RIGHTS, 0);
    EXPECT(0, networking_connect(from, "127.0.0.1:9", &connection));
    EXPECT(0, networking_stream_create(connection, RIGHTS, 0, NONBLOCK, &near));
    SAME(1, write(near, "x", 1));
    settle();
    SAME(-1, read(near, got, sizeof got));
    SAME(ECONNREFUSED, errno);
    close(near), close(connection), close(from);
}

/* A full table: what waits goes on waiting, and nothing is lost. */
static void no_room(void)
{
    int control = listener(STREAM, RIGHTS), connection = connect_to(address_of(control)), fd, first = -1, last = -1;
    settle();
    while (!networking_open(ipv4, "127.0.0.1:0", STREAM, RIGHTS, RIGHTS, 0, &fd)) {
        first = first < 0 ? fd : first;
        last = fd;
    }
    EXPECT(EMFILE, networking_open(ipv4, "127.0.0.1:0", STREAM, RIGHTS, RIGHTS, 0, &fd));
    EXPECT(EMFILE, networking_accept(control, &fd));
    EXPECT(EMFILE, __wasi_sock_accept(control, 0, &fd));
    EXPECT(EMFILE, networking_stream_create(connection, RIGHTS, 0, 0, &fd));
    EXPECT(EMFILE, __wasi_path_open(4, 0, "index.html", 0, __WASI_RIGHTS_FD_READ, 0, 0, &fd));
    for (fd = first; fd <= last; fd++)
        EXPECT(0, __wasi_fd_close(fd));
    SAME(1, poll_one(control, __WASI_EVENTTYPE_FD_READ).fd_readwrite.nbytes);
    EXPECT(0, networking_accept(control, &fd));
    close(fd), close(connection), close(control);
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    ipv4 = protocol_for("0.0.0.0:0");
    preopened_things();
    rights_are_handed_down();
    calls_need_their_rights();
    waiting_for_nothing();
    connecting();
    streams_to_the_byte();
    ends_and_resets();
    options();
    datagrams();
    no_room();
    return verdict();
}
