/*
 * Tries what a guest must not, and compares each answer with the one that the ABI names. Prints every answer that is
 * another; the exit code is 0 only if none is.
 *
 * ADDRESS is a TCP peer in the guest's IPv4 network that sends everything back, nobody may listen on port 1 there;
 * FORBIDDEN is an address that the protocol object's policy does not let the guest connect to; DIRECTORY is a
 * preopened directory. Without the last two, what needs them is left out.
 */
#include "expect.h"

#define REFUSED(call) check(__LINE__, #call, (call) == 0, 0)
#define PAST ((void *)(uintptr_t)0xfffffff0u) /* ends past 4 GiB */
#define HIGH ((void *)(uintptr_t)0xe0000000u) /* aligned, and far past what this guest has */

static int open_at(int protocol, const void *address, uint32_t len, int type, uint64_t base, uint64_t inherit,
                   int flags, void *result)
{
    return networking_import_open(protocol, (int32_t)(intptr_t)address, (int32_t)len, type, (int64_t)base,
                                  (int64_t)inherit, flags, (int32_t)(intptr_t)result);
}

static int connect_at(int control, const void *address, uint32_t len, void *result)
{
    return networking_import_connect(control, (int32_t)(intptr_t)address, (int32_t)len, (int32_t)(intptr_t)result);
}

static void try_open(int protocol)
{
    const char any[] = "0.0.0.0:0", fixed[] = "0.0.0.0:4321";
    int fd, second;
    static const int none[] = {99999, -1, 0x7fffffff, (int)0x80000000};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        EXPECT(EBADF, open_at(none[i], any, 9, STREAM, RIGHTS, RIGHTS, 0, &fd));
    EXPECT(ENOTSOCK, open_at(0, any, 9, STREAM, RIGHTS, RIGHTS, 0, &fd));
    EXPECT(EFAULT, open_at(protocol, PAST, 32, STREAM, RIGHTS, RIGHTS, 0, &fd));
    EXPECT(EFAULT, open_at(protocol, HIGH, 9, STREAM, RIGHTS, RIGHTS, 0, &fd));
    EXPECT(EFAULT, open_at(protocol, any, 0xffffffff, STREAM, RIGHTS, RIGHTS, 0, &fd));
    EXPECT(EFAULT, open_at(protocol, fixed, 12, STREAM, RIGHTS, RIGHTS, 0, HIGH));
    EXPECT(0, open_at(protocol, fixed, 12, STREAM, RIGHTS, RIGHTS, 0, &fd)); /* the one before had no effect */
    EXPECT(EADDRINUSE, open_at(protocol, fixed, 12, STREAM, RIGHTS, RIGHTS, 0, &second));
    EXPECT(EINVAL, open_at(fd, any, 9, STREAM, RIGHTS, RIGHTS, 0, &second));
    close(fd);
    EXPECT(EILSEQ, open_at(protocol, "0.0.\xff\xfe:0", 8, STREAM, RIGHTS, RIGHTS, 0, &fd));
    static const char *const nonsense[] = {"nonsense", "1.2.3.4", "1.2.3.4:99999", "1.2.3.4:-1", "1.2.3:80", "", ":", "[::"};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++)
        EXPECT(EINVAL, open_at(protocol, nonsense[i], strlen(nonsense[i]), STREAM, RIGHTS, RIGHTS, 0, &fd));
    EXPECT(EAFNOSUPPORT, open_at(protocol, "[::1]:80", 8, STREAM, RIGHTS, RIGHTS, 0, &fd));
    EXPECT(EADDRNOTAVAIL, open_at(protocol, "203.0.113.77:80", 15, STREAM, RIGHTS, RIGHTS, 0, &fd));
    EXPECT(EPROTOTYPE, open_at(protocol, any, 9, NETWORKING_FILETYPE_REGULAR_FILE, RIGHTS, RIGHTS, 0, &fd));
    EXPECT(EINVAL, open_at(protocol, any, 9, 200, RIGHTS, RIGHTS, 0, &fd));
    EXPECT(ENOTCAPABLE, open_at(protocol, any, 9, STREAM, NETWORKING_RIGHTS_PATH_OPEN, RIGHTS, 0, &fd));
    EXPECT(ENOTCAPABLE, open_at(protocol, any, 9, STREAM, RIGHTS, NETWORKING_RIGHTS_PATH_OPEN, 0, &fd));
    EXPECT(EINVAL, open_at(protocol, any, 9, STREAM, RIGHTS, RIGHTS, 1 << 9, &fd));
}

static void try_control(int protocol, const char *forbidden)
{
    int fd, other;
    char text[64], byte;
    uint32_t text_len;
    __wasi_size_t len;
    __wasi_iovec_t into = {(uint8_t *)&byte, 1};
    EXPECT(0, open_at(protocol, "0.0.0.0:0", 9, STREAM, RIGHTS, RIGHTS, NONBLOCK, &fd));
    EXPECT(EINVAL, networking_listen(protocol, 1));
    EXPECT(ENOTSOCK, networking_listen(0, 1));
    EXPECT(EBADF, networking_listen(99999, 1));
    EXPECT(EINVAL, networking_accept(fd, &other));
    EXPECT(EINVAL, connect_at(fd, "nonsense", 8, &other));
    EXPECT(EILSEQ, connect_at(fd, "\xc0\x80:1", 4, &other));
    EXPECT(EFAULT, connect_at(fd, PAST, 32, &other));
    EXPECT(EAFNOSUPPORT, connect_at(fd, "[fe80::1]:80", 12, &other));
    if (forbidden)
        EXPECT(EACCES, networking_connect(fd, forbidden, &other));
    EXPECT(0, networking_listen(fd, 1));
    EXPECT(0, networking_listen(fd, 2));
    EXPECT(EAGAIN, networking_accept(fd, &other));
    EXPECT(EAGAIN, __wasi_sock_accept(fd, 0, &other));
    EXPECT(EINVAL, __wasi_fd_read(fd, &into, 1, &len));
    EXPECT(EINVAL, __wasi_fd_write(fd, (const __wasi_ciovec_t *)&into, 1, &len));
    EXPECT(EINVAL, __wasi_fd_read(protocol, &into, 1, &len));
    EXPECT(EINVAL, networking_stream_create(fd, RIGHTS, 0, 0, &other));
    EXPECT(EINVAL, networking_stream_accept(protocol, &other));
    EXPECT(ENOTSOCK, networking_stream_accept(0, &other));
    EXPECT(EOVERFLOW, networking_local_address(fd, text, 3, &text_len));
    EXPECT(EFAULT, networking_local_address(fd, HIGH, 64, &text_len));
    EXPECT(EINVAL, networking_local_address(protocol, text, 64, &text_len));
    EXPECT(ENOTSOCK, networking_local_address(0, text, 64, &text_len));
    EXPECT(ENOTCONN, networking_peer_address(fd, text, 64, &text_len));
    uint64_t value;
    EXPECT(EINVAL, networking_option_get(fd, 999, &value));
    EXPECT(ENOTSOCK, networking_option_get(0, NETWORKING_SOCKET_OPTION_HOP_LIMIT, &value));
    EXPECT(EINVAL, networking_option_set(fd, NETWORKING_SOCKET_OPTION_HOP_LIMIT, 256));
    close(fd);
    EXPECT(EBADF, __wasi_fd_close(fd));
}

static void try_stream(int protocol, const char *address)
{
    int control, connection, fd, other;
    char byte = 'x', nowhere[64];
    __wasi_size_t len;
    __wasi_filesize_t at;
    __wasi_roflags_t flags;
    __wasi_iovec_t into = {(uint8_t *)&byte, 1}, bad = {PAST, 32}, high = {HIGH, 0xffffffff};
    const __wasi_ciovec_t *from = (const __wasi_ciovec_t *)&into;
    EXPECT(0, open_at(protocol, "0.0.0.0:0", 9, STREAM, RIGHTS, RIGHTS, 0, &control));
    snprintf(nowhere, sizeof nowhere, "%.*s:1", (int)strcspn(address, ":"), address);
    EXPECT(ECONNREFUSED, networking_connect(control, nowhere, &connection));
    EXPECT(0, networking_connect(control, address, &connection));
    EXPECT(EISCONN, networking_listen(control, 1));
    EXPECT(EINVAL, __wasi_fd_read(connection, &into, 1, &len));
    EXPECT(ENOTSOCK, networking_stream_create(0, RIGHTS, 0, 0, &other));
    EXPECT(EBADF, networking_stream_create(99999, RIGHTS, 0, 0, &other));
    EXPECT(ENOTCAPABLE, networking_stream_create(connection, NETWORKING_RIGHTS_FD_SEEK, 0, 0, &other));
    uint64_t write_only = RIGHTS & ~(uint64_t)NETWORKING_RIGHTS_FD_READ;
    EXPECT(0, networking_stream_create(connection, write_only, 0, 0, &fd));
    EXPECT(ENOTSUP, networking_stream_create(connection, RIGHTS, 0, 0, &other));
    EXPECT(ENOTSUP, networking_stream_accept(connection, &other));
    EXPECT(ENOTCAPABLE, __wasi_fd_read(fd, &into, 1, &len));
    EXPECT(ENOTCAPABLE, __wasi_fd_fdstat_set_rights(fd, (1 << 30) - 1, 0));
    close(fd), close(connection), close(control);

    fd = dial(address, STREAM);
    EXPECT(EFAULT, __wasi_fd_write(fd, (const __wasi_ciovec_t *)&bad, 1, &len));
    EXPECT(EFAULT, __wasi_fd_write(fd, (const __wasi_ciovec_t *)&high, 1, &len));
    EXPECT(EFAULT, __wasi_fd_write(fd, HIGH, 1, &len));
    EXPECT(EFAULT, __wasi_fd_write(fd, from, 0x20000000, &len));
    byte = 'y';
    EXPECT(EFAULT, __wasi_fd_write(fd, from, 1, HIGH)); /* and nothing was sent: 'x' comes back, not 'y' */
    byte = 'x';
    EXPECT(0, __wasi_fd_write(fd, from, 1, &len));
    EXPECT(EFAULT, __wasi_fd_read(fd, &bad, 1, &len));
    byte = 0;
    EXPECT(0, __wasi_fd_read(fd, &into, 1, &len)); /* the one before took nothing */
    EXPECT('x', byte);
    EXPECT(ESPIPE, __wasi_fd_seek(fd, 0, 0, &at));
    EXPECT(ESPIPE, __wasi_fd_tell(fd, &at));
    EXPECT(ESPIPE, __wasi_fd_pread(fd, &into, 1, 0, &len));
    EXPECT(ESPIPE, __wasi_fd_pwrite(fd, from, 1, 0, &len));
    EXPECT(EINVAL, networking_accept(fd, &other));
    EXPECT(EINVAL, __wasi_sock_accept(fd, 0, &other));
    EXPECT(ENOTSOCK, __wasi_sock_recv(0, &into, 1, 0, &len, &flags));
    EXPECT(ENOTSOCK, __wasi_sock_shutdown(0, __WASI_SDFLAGS_WR));
    EXPECT(EINVAL, __wasi_sock_shutdown(fd, 0x80));
    EXPECT(EBADF, __wasi_fd_renumber(99999, fd));
    EXPECT(0, __wasi_fd_fdstat_set_rights(fd, 1 << 1 /* preview 1's fd_read */, 0));
    EXPECT(ENOTCAPABLE, __wasi_fd_write(fd, from, 1, &len));
    EXPECT(ENOTCAPABLE, __wasi_sock_shutdown(fd, __WASI_SDFLAGS_WR));
    EXPECT(ENOTCAPABLE, __wasi_fd_fdstat_set_flags(fd, 0));
    close(fd);
}

static void try_the_rest(int protocol, const char *directory)
{
    __wasi_subscription_t wanted = {.u = {.tag = __WASI_EVENTTYPE_FD_READ}};
    __wasi_event_t event;
    __wasi_size_t count;
    __wasi_timestamp_t now;
    wanted.u.u.fd_read.file_descriptor = 99999;
    EXPECT(EINVAL, __wasi_poll_oneoff(&wanted, &event, 0, &count));
    EXPECT(EFAULT, __wasi_poll_oneoff(&wanted, &event, 0x10000000, &count));
    EXPECT(EFAULT, __wasi_poll_oneoff(HIGH, &event, 1, &count));
    int answer = __wasi_poll_oneoff(&wanted, &event, 1, &count);
    EXPECT(EBADF, answer ? answer : event.error); /* preview 1 lets a host say it for the call or for the event */
    EXPECT(EFAULT, __wasi_random_get(PAST, 32));
    EXPECT(EINVAL, __wasi_clock_time_get(77, 0, &now));
    for (int fd = 3; directory && fd < 64; fd++) {
        static const char *const outside[] = {"../../etc/passwd", "/etc/passwd", "a/../../../etc/passwd", ".."};
        __wasi_fdstat_t about;
        int file;
        if (__wasi_fd_fdstat_get(fd, &about) || about.fs_filetype != __WASI_FILETYPE_DIRECTORY)
            continue;
        for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
            REFUSED(__wasi_path_open(fd, 0, outside[i], 0, __WASI_RIGHTS_FD_READ, 0, 0, &file));
        EXPECT(ENOTSOCK, networking_accept(fd, &file));
    }
    /* Opens without end, twice: whoever gives everything back can have it again. */
    for (int round = 0; round < 2; round++) {
        int first = -1, last = -1, fd, error;
        while (!(error = open_at(protocol, "0.0.0.0:0", 9, DATAGRAM, RIGHTS, RIGHTS, 0, &fd))) {
            first = first < 0 ? fd : first;
            last = fd;
        }
        EXPECT(EMFILE, error == ENOBUFS ? EMFILE : error);
        for (fd = first; fd >= 0 && fd <= last; fd++)
            EXPECT(0, __wasi_fd_close(fd));
    }
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 2)
        usage("ADDRESS [FORBIDDEN] [DIRECTORY]");
    int protocol = protocol_for(argv[1]);
    try_open(protocol);
    try_control(protocol, argument(argc, argv, 2, NULL));
    try_stream(protocol, argv[1]);
    try_the_rest(protocol, argument(argc, argv, 3, NULL));
    return verdict();
}
