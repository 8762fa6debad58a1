/*
 * What the guests here share: finding a protocol object, opening what it takes to talk, and failing with a message.
 *
 * A guest whose first argument has neither `:` nor `/` takes it for the name of the protocol object to use;
 * without one the address decides: `[` means "ipv6", `/` means "unix", anything else "ipv4". Where the host
 * granted none of that name, the last of its list is used. An address may also be `fd:3` or `fd:NAME`: the control to
 * listen on, or the connection to the peer, that the host preopened.
 */
#ifndef COMMON_H
#define COMMON_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/socket.h>

#include "networking.h"

#define STREAM NETWORKING_FILETYPE_SOCKET_STREAM
#define DATAGRAM NETWORKING_FILETYPE_SOCKET_DGRAM
#define NONBLOCK NETWORKING_FDFLAGS_NONBLOCK
#define RIGHTS \
    (NETWORKING_RIGHTS_FD_READ | NETWORKING_RIGHTS_FD_WRITE | NETWORKING_RIGHTS_FD_FDSTAT_SET_FLAGS | \
     NETWORKING_RIGHTS_FD_FILESTAT_GET | NETWORKING_RIGHTS_POLL_FD_READWRITE | NETWORKING_RIGHTS_SOCK_SHUTDOWN)

static const char *guest_name = "guest";
static const char *protocol_name;

_Noreturn static void die(const char *what, int error)
{
    fflush(stdout);
    fprintf(stderr, "%s: %s: %s\n", guest_name, what, strerror(error));
    exit(1);
}

_Noreturn static void usage(const char *arguments)
{
    fprintf(stderr, "usage: %s [PROTOCOL] %s\n", guest_name, arguments);
    exit(2);
}

/* Takes the names of the guest and of the protocol off the arguments; what is left begins at argv[1]. */
static void take_names(int *argc, char ***argv)
{
    if (*argc > 0 && (*argv)[0][0])
        guest_name = (*argv)[0];
    if (*argc > 1 && !strpbrk((*argv)[1], ":/")) {
        protocol_name = (*argv)[1];
        (*argc)--, (*argv)++;
    }
}

static const char *argument(int argc, char **argv, int index, const char *otherwise)
{
    return index < argc ? argv[index] : otherwise;
}

static networking_filetype_t socket_type(const char *name)
{
    if (!strcmp(name, "dgram"))
        return DATAGRAM;
    if (!strcmp(name, "stream"))
        return STREAM;
    fprintf(stderr, "%s: `%s` is neither stream nor dgram\n", guest_name, name);
    exit(2);
}

/* The protocol object for an address. */
static int protocol_for(const char *address)
{
    const char *by_family = address[0] == '[' ? "ipv6" : address[0] == '/' ? "unix" : "ipv4";
    int fd = networking_find(protocol_name ? protocol_name : by_family);
    if (fd < 0 && !protocol_name)
        fd = networking_find(NULL);
    if (fd < 0) {
        fprintf(stderr, "%s: no protocol object `%s` among NETWORKING_FDS=%s\n", guest_name,
                protocol_name ? protocol_name : by_family, getenv("NETWORKING_FDS") ? getenv("NETWORKING_FDS") : "");
        exit(1);
    }
    return fd;
}

/* The preopened descriptor of `fd:3` or `fd:NAME`; -1 for any other address. */
static int preopened(const char *address)
{
    if (strncmp(address, "fd:", 3))
        return -1;
    int fd = networking_find(address + 3);
    return fd < 0 ? atoi(address + 3) : fd;
}

/* A listening control: one of our own, or the preopened one of `fd:3` or `fd:NAME`. */
static int listen_on(const char *address, networking_filetype_t type, int backlog, networking_fdflags_t flags)
{
    int control = preopened(address);
    if (control >= 0) {
        if (flags && fcntl(control, F_SETFL, O_NONBLOCK) < 0)
            die(address, errno);
        return control;
    }
    int error = networking_open(protocol_for(address), address, type, RIGHTS, RIGHTS, flags, &control);
    if (!error)
        error = networking_listen(control, backlog);
    if (error)
        die(address, error);
    return control;
}

/* A control to connect from, bound to any address of the family that the peer's is of; of both for the protocol "ip". */
static int open_towards(const char *address, networking_filetype_t type, networking_fdflags_t flags)
{
    static const char *const anything[] = {"0.0.0.0:0", "[::]:0", ""};
    int protocol = protocol_for(address);
    int both = protocol_name && !strcmp(protocol_name, "ip");
    int first = address[0] == '[' || both ? 1 : address[0] == '/' ? 2 : 0;
    int error = 0, control = -1;
    for (int i = 0; i < 3; i++) {
        error = networking_open(protocol, anything[(first + i) % 3], type, RIGHTS, RIGHTS, flags, &control);
        if (error != NETWORKING_ERRNO_AFNOSUPPORT && error != NETWORKING_ERRNO_INVAL)
            break;
    }
    if (error)
        die("open", error);
    return control;
}

/* A connection to a peer: a new one, or the preopened one of `fd:3` or `fd:NAME`. */
static int connection_to(const char *address, networking_filetype_t type)
{
    int connection = preopened(address);
    if (connection >= 0)
        return connection;
    int control = open_towards(address, type, 0);
    int error = networking_connect(control, address, &connection);
    if (error)
        die(address, error);
    close(control);
    return connection;
}

/* The one stream of a connection to a peer. The connection is closed: its stream goes on. */
static int dial(const char *address, networking_filetype_t type)
{
    int connection = connection_to(address, type), stream;
    int error = networking_stream_create(connection, RIGHTS, 0, 0, &stream);
    if (error)
        die("stream_create", error);
    close(connection);
    return stream;
}

/* The one stream of the next connection, or -1 with errno. The stream has the flags of its control. */
static int accept_stream(int control)
{
    int connection, stream;
    int error = networking_accept(control, &connection);
    if (!error) {
        error = networking_stream_accept(connection, &stream);
        close(connection);
    }
    errno = error;
    return error ? -1 : stream;
}

/* Writes the whole buffer to a blocking stream; a datagram is written whole or not at all. */
static void write_all(int fd, const void *buffer, size_t len)
{
    for (const char *at = buffer;;) {
        ssize_t wrote = write(fd, at, len);
        if (wrote < 0)
            die("write", errno);
        at += wrote;
        len -= (size_t)wrote;
        if (!len)
            return;
    }
}

/* Reads until the buffer is full or the peer's end; how much it was. */
static size_t read_full(int fd, void *buffer, size_t len)
{
    size_t have = 0;
    while (have < len) {
        ssize_t got = read(fd, (char *)buffer + have, len - have);
        if (got < 0)
            die("read", errno);
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return have;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The byte at an offset of a stream that sender and receiver both know. */
static inline unsigned char pattern(uint64_t offset, unsigned salt)
{
    return (unsigned char)((offset * 131 + (offset >> 8) * 7 + salt * 17) & 0xff);
}

#endif
