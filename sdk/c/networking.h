/*
 * The `networking` guest ABI for C and C++: see README.md beside this file and docs.md beside the witx.
 * Rendered from networking.witx by `guestnet docs --c-header`; edit that.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT
 */
#ifndef NETWORKING_H
#define NETWORKING_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A number of bytes, or of waiting peers. */
typedef uint32_t networking_size_t;

/*
 * What a call came to. Every function answers one of these; its other results are stored in memory
 * only when it is `success`. The codes and their numbers are those of `wasi_snapshot_preview1`.
 */
typedef uint16_t networking_errno_t;
/* The call did what was asked. */
#define NETWORKING_ERRNO_SUCCESS ((networking_errno_t)0)
/* Argument list too long. Not used by this module. */
#define NETWORKING_ERRNO_2BIG ((networking_errno_t)1)
/* The protocol object's policy forbids this address or port. */
#define NETWORKING_ERRNO_ACCES ((networking_errno_t)2)
/* The address and port are taken by another control of this guest. */
#define NETWORKING_ERRNO_ADDRINUSE ((networking_errno_t)3)
/* The address is not one of this guest's own. */
#define NETWORKING_ERRNO_ADDRNOTAVAIL ((networking_errno_t)4)
/* The address is of another protocol's family, as `[::1]:80` is for an `ipv4` object. */
#define NETWORKING_ERRNO_AFNOSUPPORT ((networking_errno_t)5)
/* The call would have to wait, and the descriptor is non-blocking. */
#define NETWORKING_ERRNO_AGAIN ((networking_errno_t)6)
/* A connect to another address is still under way on this control. */
#define NETWORKING_ERRNO_ALREADY ((networking_errno_t)7)
/* No such descriptor. */
#define NETWORKING_ERRNO_BADF ((networking_errno_t)8)
/* Bad message. Not used by this module. */
#define NETWORKING_ERRNO_BADMSG ((networking_errno_t)9)
/* Resource busy. Not used by this module. */
#define NETWORKING_ERRNO_BUSY ((networking_errno_t)10)
/* Operation cancelled. Not used by this module. */
#define NETWORKING_ERRNO_CANCELED ((networking_errno_t)11)
/* No child processes. Not used by this module. */
#define NETWORKING_ERRNO_CHILD ((networking_errno_t)12)
/* The connection is closed: it has no further streams. */
#define NETWORKING_ERRNO_CONNABORTED ((networking_errno_t)13)
/* The peer has nobody listening there. */
#define NETWORKING_ERRNO_CONNREFUSED ((networking_errno_t)14)
/* The peer ended the connection without finishing it. */
#define NETWORKING_ERRNO_CONNRESET ((networking_errno_t)15)
/* Deadlock avoided. Not used by this module. */
#define NETWORKING_ERRNO_DEADLK ((networking_errno_t)16)
/* A destination is needed. Not used by this module. */
#define NETWORKING_ERRNO_DESTADDRREQ ((networking_errno_t)17)
/* Argument outside a function's domain. Not used by this module. */
#define NETWORKING_ERRNO_DOM ((networking_errno_t)18)
/* Reserved. */
#define NETWORKING_ERRNO_DQUOT ((networking_errno_t)19)
/* File exists. Not used by this module. */
#define NETWORKING_ERRNO_EXIST ((networking_errno_t)20)
/* A pointer, or a pointer with its length, reaches outside the guest's memory. The call had no effect. */
#define NETWORKING_ERRNO_FAULT ((networking_errno_t)21)
/* File too large. Not used by this module. */
#define NETWORKING_ERRNO_FBIG ((networking_errno_t)22)
/* No way to the host: a router said so, its neighbour does not answer, or its resolver did not in time. */
#define NETWORKING_ERRNO_HOSTUNREACH ((networking_errno_t)23)
/* Identifier removed. Not used by this module. */
#define NETWORKING_ERRNO_IDRM ((networking_errno_t)24)
/* An address is not UTF-8. */
#define NETWORKING_ERRNO_ILSEQ ((networking_errno_t)25)
/* The connect has begun on a non-blocking control: poll it for writing, then connect again. */
#define NETWORKING_ERRNO_INPROGRESS ((networking_errno_t)26)
/* Interrupted. Not used by this module. */
#define NETWORKING_ERRNO_INTR ((networking_errno_t)27)
/*
 * An argument has no meaning: an address that does not parse, an unknown enum value or flag bit,
 * a network descriptor of another kind, an `accept` without `listen`.
 */
#define NETWORKING_ERRNO_INVAL ((networking_errno_t)28)
/* The link or the file below failed. */
#define NETWORKING_ERRNO_IO ((networking_errno_t)29)
/* The control has connected and cannot listen any more. */
#define NETWORKING_ERRNO_ISCONN ((networking_errno_t)30)
/* Is a directory. Not used by this module. */
#define NETWORKING_ERRNO_ISDIR ((networking_errno_t)31)
/* Too many symbolic links. Not used by this module. */
#define NETWORKING_ERRNO_LOOP ((networking_errno_t)32)
/* The guest's descriptor table is full. */
#define NETWORKING_ERRNO_MFILE ((networking_errno_t)33)
/* Too many links. Not used by this module. */
#define NETWORKING_ERRNO_MLINK ((networking_errno_t)34)
/*
 * The datagram is longer than IP can carry (65,507 bytes over IPv4, 65,527 over IPv6); or the one before was
 * lost on a path that turned out narrower, and the next will be cut to fit it.
 */
#define NETWORKING_ERRNO_MSGSIZE ((networking_errno_t)35)
/* Reserved. */
#define NETWORKING_ERRNO_MULTIHOP ((networking_errno_t)36)
/* A name is too long. */
#define NETWORKING_ERRNO_NAMETOOLONG ((networking_errno_t)37)
/* The guest's own port is down. */
#define NETWORKING_ERRNO_NETDOWN ((networking_errno_t)38)
/* Connection aborted by the network. Not used by this module. */
#define NETWORKING_ERRNO_NETRESET ((networking_errno_t)39)
/* The guest has no route to the address. */
#define NETWORKING_ERRNO_NETUNREACH ((networking_errno_t)40)
/* The host's own limit of objects is reached. */
#define NETWORKING_ERRNO_NFILE ((networking_errno_t)41)
/* No room for another buffer. */
#define NETWORKING_ERRNO_NOBUFS ((networking_errno_t)42)
/* No such device. Not used by this module. */
#define NETWORKING_ERRNO_NODEV ((networking_errno_t)43)
/* The name in an address does not resolve. */
#define NETWORKING_ERRNO_NOENT ((networking_errno_t)44)
/* Not an executable. Not used by this module. */
#define NETWORKING_ERRNO_NOEXEC ((networking_errno_t)45)
/* No locks. Not used by this module. */
#define NETWORKING_ERRNO_NOLCK ((networking_errno_t)46)
/* Reserved. */
#define NETWORKING_ERRNO_NOLINK ((networking_errno_t)47)
/* Not enough memory. Not used by this module. */
#define NETWORKING_ERRNO_NOMEM ((networking_errno_t)48)
/* No message of that type. Not used by this module. */
#define NETWORKING_ERRNO_NOMSG ((networking_errno_t)49)
/* The descriptor has no such option, or it can be read but not set. */
#define NETWORKING_ERRNO_NOPROTOOPT ((networking_errno_t)50)
/* No space on the device. Not used by this module. */
#define NETWORKING_ERRNO_NOSPC ((networking_errno_t)51)
/* The function does not exist here. */
#define NETWORKING_ERRNO_NOSYS ((networking_errno_t)52)
/* The descriptor has no peer. */
#define NETWORKING_ERRNO_NOTCONN ((networking_errno_t)53)
/* Not a directory. Not used by this module. */
#define NETWORKING_ERRNO_NOTDIR ((networking_errno_t)54)
/* Directory not empty. Not used by this module. */
#define NETWORKING_ERRNO_NOTEMPTY ((networking_errno_t)55)
/* State not recoverable. Not used by this module. */
#define NETWORKING_ERRNO_NOTRECOVERABLE ((networking_errno_t)56)
/* The descriptor is a file or a directory. */
#define NETWORKING_ERRNO_NOTSOCK ((networking_errno_t)57)
/* The protocol cannot do this: a second stream on a connection that has exactly one. */
#define NETWORKING_ERRNO_NOTSUP ((networking_errno_t)58)
/* Not a terminal. Not used by this module. */
#define NETWORKING_ERRNO_NOTTY ((networking_errno_t)59)
/* No such device or address. Not used by this module. */
#define NETWORKING_ERRNO_NXIO ((networking_errno_t)60)
/* The buffer is shorter than what there is to store. Nothing was stored. */
#define NETWORKING_ERRNO_OVERFLOW ((networking_errno_t)61)
/* Previous owner died. Not used by this module. */
#define NETWORKING_ERRNO_OWNERDEAD ((networking_errno_t)62)
/* Operation not permitted. Not used by this module. */
#define NETWORKING_ERRNO_PERM ((networking_errno_t)63)
/* The peer closed the stream: nobody will read what is written. */
#define NETWORKING_ERRNO_PIPE ((networking_errno_t)64)
/* The peer broke its protocol, as a failed TLS handshake or a proxy's refusal does. */
#define NETWORKING_ERRNO_PROTO ((networking_errno_t)65)
/* The protocol is not there. */
#define NETWORKING_ERRNO_PROTONOSUPPORT ((networking_errno_t)66)
/* The protocol has no sockets of this type. */
#define NETWORKING_ERRNO_PROTOTYPE ((networking_errno_t)67)
/* Result too large. Not used by this module. */
#define NETWORKING_ERRNO_RANGE ((networking_errno_t)68)
/* Read-only file system. Not used by this module. */
#define NETWORKING_ERRNO_ROFS ((networking_errno_t)69)
/* A socket has no position: the answer of `fd_seek`, `fd_pread` and the like. */
#define NETWORKING_ERRNO_SPIPE ((networking_errno_t)70)
/* No such process. Not used by this module. */
#define NETWORKING_ERRNO_SRCH ((networking_errno_t)71)
/* Reserved. */
#define NETWORKING_ERRNO_STALE ((networking_errno_t)72)
/* The peer did not answer in time. */
#define NETWORKING_ERRNO_TIMEDOUT ((networking_errno_t)73)
/* Text file busy. Not used by this module. */
#define NETWORKING_ERRNO_TXTBSY ((networking_errno_t)74)
/* Other device. Not used by this module. */
#define NETWORKING_ERRNO_XDEV ((networking_errno_t)75)
/* The descriptor lacks the right to this call, or more rights are asked for than it may pass on. */
#define NETWORKING_ERRNO_NOTCAPABLE ((networking_errno_t)76)

/*
 * What may be done with a descriptor. Base rights are for the descriptor itself, inheriting rights are
 * the most that descriptors made from it can get.
 *
 * The numbers of the bits are the sketch's. They are **not** those of `wasi_snapshot_preview1`, which
 * lacks `path_permissions_set` (bit 21) and `fd_permissions_set` (bit 25) and so has everything above
 * one or two places lower: `poll_fd_readwrite` is bit 29 here and 27 there. A guest that passes what
 * `fd_fdstat_get` told it on to `open` must move the bits.
 */
typedef uint64_t networking_rights_t;
/* `fd_datasync`. Files only. */
#define NETWORKING_RIGHTS_FD_DATASYNC ((networking_rights_t)1 << 0)
/*
 * `fd_read` and `sock_recv`; with `fd_seek`, also `fd_pread`. On a control: `listen`, `accept` and
 * `sock_accept`.
 */
#define NETWORKING_RIGHTS_FD_READ ((networking_rights_t)1 << 1)
/* `fd_seek`, and with it `fd_tell`. Files only. */
#define NETWORKING_RIGHTS_FD_SEEK ((networking_rights_t)1 << 2)
/* `fd_fdstat_set_flags`: turn non-blocking mode on and off. On network descriptors also `option_set`. */
#define NETWORKING_RIGHTS_FD_FDSTAT_SET_FLAGS ((networking_rights_t)1 << 3)
/* `fd_sync`. Files only. */
#define NETWORKING_RIGHTS_FD_SYNC ((networking_rights_t)1 << 4)
/* `fd_tell`. Files only. */
#define NETWORKING_RIGHTS_FD_TELL ((networking_rights_t)1 << 5)
/* `fd_write` and `sock_send`; with `fd_seek`, also `fd_pwrite`. On a control: `connect`. */
#define NETWORKING_RIGHTS_FD_WRITE ((networking_rights_t)1 << 6)
/* `fd_advise`. Files only. */
#define NETWORKING_RIGHTS_FD_ADVISE ((networking_rights_t)1 << 7)
/* `fd_allocate`. Files only. */
#define NETWORKING_RIGHTS_FD_ALLOCATE ((networking_rights_t)1 << 8)
/* `path_create_directory`. Directories only. */
#define NETWORKING_RIGHTS_PATH_CREATE_DIRECTORY ((networking_rights_t)1 << 9)
/* `path_open` that creates. Directories only. */
#define NETWORKING_RIGHTS_PATH_CREATE_FILE ((networking_rights_t)1 << 10)
/* `path_link` from here. Directories only. */
#define NETWORKING_RIGHTS_PATH_LINK_SOURCE ((networking_rights_t)1 << 11)
/* `path_link` to here. Directories only. */
#define NETWORKING_RIGHTS_PATH_LINK_TARGET ((networking_rights_t)1 << 12)
/* `path_open`. Directories only. */
#define NETWORKING_RIGHTS_PATH_OPEN ((networking_rights_t)1 << 13)
/* `fd_readdir`. Directories only. */
#define NETWORKING_RIGHTS_FD_READDIR ((networking_rights_t)1 << 14)
/* `path_readlink`. Directories only. */
#define NETWORKING_RIGHTS_PATH_READLINK ((networking_rights_t)1 << 15)
/* `path_rename` from here. Directories only. */
#define NETWORKING_RIGHTS_PATH_RENAME_SOURCE ((networking_rights_t)1 << 16)
/* `path_rename` to here. Directories only. */
#define NETWORKING_RIGHTS_PATH_RENAME_TARGET ((networking_rights_t)1 << 17)
/* `path_filestat_get`. Directories only. */
#define NETWORKING_RIGHTS_PATH_FILESTAT_GET ((networking_rights_t)1 << 18)
/* `path_open` that truncates. Directories only. */
#define NETWORKING_RIGHTS_PATH_FILESTAT_SET_SIZE ((networking_rights_t)1 << 19)
/* `path_filestat_set_times`. Directories only. */
#define NETWORKING_RIGHTS_PATH_FILESTAT_SET_TIMES ((networking_rights_t)1 << 20)
/* `path_permissions_set`, which preview 1 does not have. No call here asks for it. */
#define NETWORKING_RIGHTS_PATH_PERMISSIONS_SET ((networking_rights_t)1 << 21)
/* `fd_filestat_get`. On network descriptors also `option_get`. */
#define NETWORKING_RIGHTS_FD_FILESTAT_GET ((networking_rights_t)1 << 22)
/* `fd_filestat_set_size`. Files only. */
#define NETWORKING_RIGHTS_FD_FILESTAT_SET_SIZE ((networking_rights_t)1 << 23)
/* `fd_filestat_set_times`. Files only. */
#define NETWORKING_RIGHTS_FD_FILESTAT_SET_TIMES ((networking_rights_t)1 << 24)
/* `fd_permissions_set`, which preview 1 does not have. No call here asks for it. */
#define NETWORKING_RIGHTS_FD_PERMISSIONS_SET ((networking_rights_t)1 << 25)
/* `path_symlink`. Directories only. */
#define NETWORKING_RIGHTS_PATH_SYMLINK ((networking_rights_t)1 << 26)
/* `path_remove_directory`. Directories only. */
#define NETWORKING_RIGHTS_PATH_REMOVE_DIRECTORY ((networking_rights_t)1 << 27)
/* `path_unlink_file`. Directories only. */
#define NETWORKING_RIGHTS_PATH_UNLINK_FILE ((networking_rights_t)1 << 28)
/*
 * `poll_oneoff` on the descriptor: for reading with `fd_read`, for writing with `fd_write`. On a control
 * or a connection this right alone is enough.
 */
#define NETWORKING_RIGHTS_POLL_FD_READWRITE ((networking_rights_t)1 << 29)
/* `sock_shutdown`. */
#define NETWORKING_RIGHTS_SOCK_SHUTDOWN ((networking_rights_t)1 << 30)

/* A descriptor: an index into the guest's one table of files, directories and network objects. */
typedef int networking_fd_t;

/* What a descriptor refers to. `open` takes `socket_dgram` and `socket_stream`. */
typedef uint8_t networking_filetype_t;
/* Something else. A protocol object is of this type. */
#define NETWORKING_FILETYPE_UNKNOWN ((networking_filetype_t)0)
/* A block device. */
#define NETWORKING_FILETYPE_BLOCK_DEVICE ((networking_filetype_t)1)
/* A character device. */
#define NETWORKING_FILETYPE_CHARACTER_DEVICE ((networking_filetype_t)2)
/* A directory. */
#define NETWORKING_FILETYPE_DIRECTORY ((networking_filetype_t)3)
/* A regular file. */
#define NETWORKING_FILETYPE_REGULAR_FILE ((networking_filetype_t)4)
/* Whole datagrams, each of which arrives or does not. */
#define NETWORKING_FILETYPE_SOCKET_DGRAM ((networking_filetype_t)5)
/* A stream of bytes, in order and complete. */
#define NETWORKING_FILETYPE_SOCKET_STREAM ((networking_filetype_t)6)
/* A symbolic link. */
#define NETWORKING_FILETYPE_SYMBOLIC_LINK ((networking_filetype_t)7)

/* Flags of a descriptor. */
typedef uint16_t networking_fdflags_t;
/* Write at the end. Files only: without meaning for a network descriptor. */
#define NETWORKING_FDFLAGS_APPEND ((networking_fdflags_t)1 << 0)
/* Wait for written data to reach the device. Files only. */
#define NETWORKING_FDFLAGS_DSYNC ((networking_fdflags_t)1 << 1)
/* Answer `again` (or, from `connect`, `inprogress`) where the guest would have to wait. */
#define NETWORKING_FDFLAGS_NONBLOCK ((networking_fdflags_t)1 << 2)
/* Synchronised reads. Files only. */
#define NETWORKING_FDFLAGS_RSYNC ((networking_fdflags_t)1 << 3)
/* Wait for written data and metadata to reach the device. Files only. */
#define NETWORKING_FDFLAGS_SYNC ((networking_fdflags_t)1 << 4)

/*
 * What `fd_prestat_get` of `wasi_snapshot_preview1` says a preopened descriptor is. In both cases its record
 * goes on, at byte 4, with the length of the name that `fd_prestat_dir_name` stores.
 */
typedef uint8_t networking_preopentype_t;
/* A directory; its name is a path. */
#define NETWORKING_PREOPENTYPE_DIR ((networking_preopentype_t)0)
/* A protocol object, a control or a connection. Ours: preview 1 knows directories alone. */
#define NETWORKING_PREOPENTYPE_SOCKET ((networking_preopentype_t)1)

/*
 * A protocol object: what the host grants the guest. A factory of controls and a sandbox at once, for it
 * carries the addresses that may be bound and connected to. Found among the preopened descriptors.
 */
typedef networking_fd_t networking_protocolfd_t;

/* A control: an address of the guest's own, to listen on or to connect from. */
typedef networking_fd_t networking_controlfd_t;

/* A connection with one peer. Nothing is read from it or written to it: its streams are for that. */
typedef networking_fd_t networking_connectionfd_t;

/* A stream of a connection, for `fd_read`, `fd_write`, `sock_recv`, `sock_send` and `sock_shutdown`. */
typedef networking_fd_t networking_streamfd_t;

/* The type of socket to open: `socket_stream` or `socket_dgram`. */
typedef networking_filetype_t networking_sockettype_t;

/*
 * A property of a control, a connection or a stream. Set on a control, it holds for the connections made
 * from it afterwards; on a connection, for its streams. Each has one unsigned value.
 */
typedef uint16_t networking_socket_option_t;
/*
 * 1: send small segments at once. 0: gather them while data is unacknowledged (Nagle, RFC 896).
 * Streams over TCP only.
 */
#define NETWORKING_SOCKET_OPTION_NO_DELAY ((networking_socket_option_t)0)
/*
 * Seconds of silence after which the peer is asked whether it is still there (RFC 9293, section 3.8.4), and
 * asked again; after nine questions without an answer the connection is `timedout`. 0: never. Streams over
 * TCP only.
 */
#define NETWORKING_SOCKET_OPTION_KEEP_ALIVE ((networking_socket_option_t)1)
/* The IPv4 time to live or IPv6 hop limit of packets sent, 1 to 255. */
#define NETWORKING_SOCKET_OPTION_HOP_LIMIT ((networking_socket_option_t)2)
/*
 * Bytes of room for what has arrived and was not read yet. What is set is rounded and bounded; what
 * is got is what there is.
 */
#define NETWORKING_SOCKET_OPTION_RECEIVE_BUFFER ((networking_socket_option_t)3)
/* Bytes of room for what was written and not acknowledged yet. Rounded and bounded likewise. */
#define NETWORKING_SOCKET_OPTION_SEND_BUFFER ((networking_socket_option_t)4)
/*
 * Milliseconds that the stack goes on, once the guest has closed the stream or ended, to have what was
 * written acknowledged. Then the connection is reset. 10,000 at first; 0 resets at once.
 * A QUIC stream, which goes on by itself once it is closed, knows 0 and not 0 only: 0 throws away what was
 * written and not sent.
 */
#define NETWORKING_SOCKET_OPTION_LINGER ((networking_socket_option_t)5)
/*
 * 1: streams that `stream_create` makes from now on go one way, to the peer. 0: both ways. Connections with
 * many streams only.
 */
#define NETWORKING_SOCKET_OPTION_UNIDIRECTIONAL ((networking_socket_option_t)6)
/*
 * The hop limit of datagrams to groups, 0 to 255; 1 at first, which keeps them on the link, and 0 keeps them within
 * the guest.
 */
#define NETWORKING_SOCKET_OPTION_GROUP_HOP_LIMIT ((networking_socket_option_t)7)
/*
 * 1, as at first: the guest's own listeners hear what it sends to groups. 0: they do not. Of the control that
 * sends.
 */
#define NETWORKING_SOCKET_OPTION_GROUP_LOOP ((networking_socket_option_t)8)

/* An option's value, in the option's own unit. */
typedef uint64_t networking_socket_option_value_t;

__attribute__((import_module("networking"), import_name("open")))
int32_t networking_import_open(int32_t, int32_t, int32_t, int32_t, int64_t, int64_t, int32_t, int32_t);
/*
 * Makes a control: an address of the guest's own, `socket` and `bind` in one.
 *
 * Errors: `badf`, `notsock` or `inval` where `protocol_fd` is no protocol object; `fault`, `ilseq`, `inval`,
 * `afnosupport` for the address; `acces` where the policy forbids it; `addrnotavail`, `addrinuse`;
 * `prototype`; `notcapable` where the rights are more than the protocol object passes on; `mfile`,
 * `nobufs`.
 *
 * protocol_fd: The protocol object to open it on.
 *
 * bind_address: The address to bind, as the protocol writes it: `10.0.0.1:80`, `[fe80::1]:80`, a path. The unspecified
 * address (`0.0.0.0`, `[::]`) stands for any of the guest's own. Port 0 takes an ephemeral port, now.
 *
 * type: Whether connections carry streams of bytes or datagrams.
 *
 * rights_base: The rights of the control itself: `fd_read` to listen and accept, `fd_write` to connect,
 * `poll_fd_readwrite` for `poll_oneoff`.
 *
 * rights_inheriting: The rights of its connections, and the most that their streams can get.
 *
 * fdflags: Only `nonblock` has a meaning. Connections and accepted streams begin with the same.
 *
 * result: The control.
 */
static inline networking_errno_t networking_open(
    networking_protocolfd_t protocol_fd,
    const char *bind_address,
    networking_sockettype_t type,
    networking_rights_t rights_base,
    networking_rights_t rights_inheriting,
    networking_fdflags_t fdflags,
    networking_controlfd_t *result)
{
    return (networking_errno_t)networking_import_open(
        (int32_t)protocol_fd, (int32_t)(intptr_t)bind_address, (int32_t)strlen(bind_address), (int32_t)type, (int64_t)rights_base, (int64_t)rights_inheriting, (int32_t)fdflags, (int32_t)(intptr_t)result);
}

__attribute__((import_module("networking"), import_name("listen")))
int32_t networking_import_listen(int32_t, int32_t);
/*
 * Lets peers connect to a control. A second call only changes the backlog.
 *
 * Errors: `badf`, `notsock`, `inval` for a descriptor that is no control; `notcapable` without the right
 * `fd_read`; `isconn` once the control has connected.
 *
 * controlfd: The control.
 *
 * backlog: The most connections that may wait to be accepted; the host bounds it, and takes 0 for 1. Peers past
 * it are not answered, and try again.
 */
static inline networking_errno_t networking_listen(
    networking_controlfd_t controlfd,
    networking_size_t backlog)
{
    return (networking_errno_t)networking_import_listen(
        (int32_t)controlfd, (int32_t)backlog);
}

__attribute__((import_module("networking"), import_name("accept")))
int32_t networking_import_accept(int32_t, int32_t);
/*
 * Takes the next waiting connection of a listening control, for datagrams the flow of the next new peer.
 * A connection that was reset while it waited is skipped. The connection gets the control's inheriting
 * rights as its own and passes them on.
 *
 * Errors: `badf`, `notsock`, `inval` for a descriptor that is no control or does not listen; `notcapable`
 * without the right `fd_read`; `again` when non-blocking and nobody waits; `mfile`, and the connection goes on
 * waiting.
 *
 * controlfd: The listening control.
 *
 * result: The connection.
 */
static inline networking_errno_t networking_accept(
    networking_controlfd_t controlfd,
    networking_connectionfd_t *result)
{
    return (networking_errno_t)networking_import_accept(
        (int32_t)controlfd, (int32_t)(intptr_t)result);
}

__attribute__((import_module("networking"), import_name("connect")))
int32_t networking_import_connect(int32_t, int32_t, int32_t, int32_t);
/*
 * Connects a control to a peer; for datagrams, opens a flow to it. A control may connect several times.
 *
 * On a non-blocking control the first call answers `inprogress`. Poll the control for writing, then call
 * again with the same address for the connection or the error it came to.
 *
 * A neighbour who does not say where it is, asked three times within three seconds, is `hostunreach`, for a
 * flow at its next read or write. Port 0 is nobody's: `addrnotavail`.
 *
 * Errors: `badf`, `notsock`, `inval` for a descriptor that is no control, or listens for streams; `notcapable` without
 * the right `fd_write`; `fault`, `ilseq`,
 * `inval`, `afnosupport`, `addrnotavail` for the address; `acces` where the policy forbids it; `noent`,
 * `again` or `hostunreach` for a name; `inprogress`, `already`; `connrefused`, `connreset`, `timedout`,
 * `hostunreach`, `netunreach`, `proto`; `mfile`, `nobufs`.
 *
 * controlfd: The control.
 *
 * address: The peer: an address as `open` takes it, or a name in the place of the host, as in `server:80`.
 *
 * result: The connection.
 */
static inline networking_errno_t networking_connect(
    networking_controlfd_t controlfd,
    const char *address,
    networking_connectionfd_t *result)
{
    return (networking_errno_t)networking_import_connect(
        (int32_t)controlfd, (int32_t)(intptr_t)address, (int32_t)strlen(address), (int32_t)(intptr_t)result);
}

__attribute__((import_module("networking"), import_name("stream_create")))
int32_t networking_import_stream_create(int32_t, int64_t, int64_t, int32_t, int32_t);
/*
 * Opens a stream of a connection. Where a connection has exactly one stream (TCP, datagrams, Unix, TLS,
 * proxies) the first `stream_create` or `stream_accept` gives it. Where it has many (QUIC) each call opens
 * another, in both directions unless the option `unidirectional` says otherwise; when the peer allows no more
 * of them for now, it waits. The peer hears of a stream once something is written to it, or its end.
 *
 * Errors: `badf`, `notsock`, `inval` for a descriptor that is no connection; `notcapable` where the rights
 * are more than the connection passes on; `notsup` for a second stream where there is one; `connaborted`
 * when the connection is closed; `again` when non-blocking and the peer allows no more; `mfile`, `nobufs`.
 *
 * connectionfd: The connection.
 *
 * rights: The rights of the stream.
 *
 * rights_inheriting: The rights that the stream passes on. Nothing is made from a stream yet.
 *
 * fdflags: Only `nonblock` has a meaning.
 *
 * result: The stream.
 */
static inline networking_errno_t networking_stream_create(
    networking_connectionfd_t connectionfd,
    networking_rights_t rights,
    networking_rights_t rights_inheriting,
    networking_fdflags_t fdflags,
    networking_streamfd_t *result)
{
    return (networking_errno_t)networking_import_stream_create(
        (int32_t)connectionfd, (int64_t)rights, (int64_t)rights_inheriting, (int32_t)fdflags, (int32_t)(intptr_t)result);
}

__attribute__((import_module("networking"), import_name("stream_accept")))
int32_t networking_import_stream_accept(int32_t, int32_t);
/*
 * Takes the next stream that the peer opened; where a connection has exactly one, that one. The stream gets
 * the connection's inheriting rights.
 *
 * Errors: `badf`, `notsock`, `inval` for a descriptor that is no connection; `notsup` for a second stream
 * where there is one; `connaborted` when the connection is closed; `again` when non-blocking and none
 * waits; `mfile`.
 *
 * connectionfd: The connection.
 *
 * result: The stream.
 */
static inline networking_errno_t networking_stream_accept(
    networking_connectionfd_t connectionfd,
    networking_streamfd_t *result)
{
    return (networking_errno_t)networking_import_stream_accept(
        (int32_t)connectionfd, (int32_t)(intptr_t)result);
}

__attribute__((import_module("networking"), import_name("local_address")))
int32_t networking_import_local_address(int32_t, int32_t, int32_t, int32_t);
/*
 * Stores the address of this side as text, in the form that `open` takes. After an `open` with port 0 it has
 * the port that was chosen. No terminating zero is stored.
 *
 * Errors: `badf`, `notsock`, `inval` for a protocol object; `fault`; `overflow` when the buffer is short.
 *
 * fd: A control, a connection or a stream.
 *
 * buf: Where to store the text.
 *
 * buf_len: The room there. 64 bytes hold any IP address and port.
 *
 * result: The length of the text.
 */
static inline networking_errno_t networking_local_address(
    networking_fd_t fd,
    void *buf,
    networking_size_t buf_len,
    networking_size_t *result)
{
    return (networking_errno_t)networking_import_local_address(
        (int32_t)fd, (int32_t)(intptr_t)buf, (int32_t)buf_len, (int32_t)(intptr_t)result);
}

__attribute__((import_module("networking"), import_name("peer_address")))
int32_t networking_import_peer_address(int32_t, int32_t, int32_t, int32_t);
/*
 * Stores the peer's address as text, in the form that `connect` takes. No terminating zero is stored.
 *
 * Errors: `badf`, `notsock`, `inval` for a protocol object; `notconn` for a control; `fault`; `overflow`
 * when the buffer is short.
 *
 * fd: A connection or a stream.
 *
 * buf: Where to store the text.
 *
 * buf_len: The room there. 64 bytes hold any IP address and port.
 *
 * result: The length of the text.
 */
static inline networking_errno_t networking_peer_address(
    networking_fd_t fd,
    void *buf,
    networking_size_t buf_len,
    networking_size_t *result)
{
    return (networking_errno_t)networking_import_peer_address(
        (int32_t)fd, (int32_t)(intptr_t)buf, (int32_t)buf_len, (int32_t)(intptr_t)result);
}

__attribute__((import_module("networking"), import_name("application_protocol")))
int32_t networking_import_application_protocol(int32_t, int32_t, int32_t, int32_t);
/*
 * Stores the application protocol that both sides agreed on (ALPN, RFC 7301), as it is registered: `h2`, `http/1.1`, `h3`. Any bytes
 * may stand in one, 255 at most; no terminating zero is stored. A length of 0: they agreed on none.
 *
 * Errors: `badf`, `notsock`, `inval` for a protocol object; `notconn` for a control; `noprotoopt` where the protocol has no such
 * agreement; `again`, whatever the flags, before the end of the handshake (early data of QUIC); `fault`; `overflow` when the
 * buffer is short.
 *
 * fd: A connection or a stream, of TLS or QUIC.
 *
 * buf: Where to store it.
 *
 * buf_len: The room there.
 *
 * result: Its length.
 */
static inline networking_errno_t networking_application_protocol(
    networking_fd_t fd,
    void *buf,
    networking_size_t buf_len,
    networking_size_t *result)
{
    return (networking_errno_t)networking_import_application_protocol(
        (int32_t)fd, (int32_t)(intptr_t)buf, (int32_t)buf_len, (int32_t)(intptr_t)result);
}

__attribute__((import_module("networking"), import_name("group_join")))
int32_t networking_import_group_join(int32_t, int32_t, int32_t);
/*
 * Has a control for datagrams listen to a group besides its own address: once it listens, whoever sends to the group and
 * to the control's port is a peer like others, and `accept` answers the flow with him. The flow's local address is the
 * group's; what is written to it goes to the peer alone. A group may be bound as well, by `open`, by as many controls as
 * like to: such a control hears that group alone, once it has joined it, and each hears every datagram. Closing the
 * control leaves its groups.
 *
 * Errors: `badf`, `notsock`, `inval` for a descriptor that is no control; `notcapable`; `fault`, `ilseq`, `inval`,
 * `afnosupport` for what is no group of the protocol's family; `acces` where the policy does not allow to bind the group and the
 * control's port; `addrnotavail` for an interface that is not there or has no address of the family; `addrinuse` for a group that is
 * listened to already; `nobufs` for too many; `noprotoopt` where the protocol knows no groups.
 *
 * controlfd: A control for datagrams.
 *
 * group: The group, such as `239.1.2.3` or `ff05::99`; with `%` and the name of an interface, as in `ff02::fb%eth1`, if it is
 * not the first.
 */
static inline networking_errno_t networking_group_join(
    networking_controlfd_t controlfd,
    const char *group)
{
    return (networking_errno_t)networking_import_group_join(
        (int32_t)controlfd, (int32_t)(intptr_t)group, (int32_t)strlen(group));
}

__attribute__((import_module("networking"), import_name("group_leave")))
int32_t networking_import_group_leave(int32_t, int32_t, int32_t);
/*
 * Has a control listen to a group no longer. Flows that there are go on.
 *
 * Errors: as `group_join`; `addrnotavail` for a group that it does not listen to.
 *
 * controlfd: The control.
 *
 * group: As it was joined.
 */
static inline networking_errno_t networking_group_leave(
    networking_controlfd_t controlfd,
    const char *group)
{
    return (networking_errno_t)networking_import_group_leave(
        (int32_t)controlfd, (int32_t)(intptr_t)group, (int32_t)strlen(group));
}

__attribute__((import_module("networking"), import_name("option_get")))
int32_t networking_import_option_get(int32_t, int32_t, int32_t);
/*
 * Tells an option's value.
 *
 * Errors: `badf`, `notsock`; `notcapable` without the right `fd_filestat_get`; `inval` for a protocol object or an
 * unknown option; `noprotoopt` where the protocol does not have it.
 *
 * fd: A control, a connection or a stream.
 *
 * option: Which option.
 *
 * result: Its value, in the option's unit.
 */
static inline networking_errno_t networking_option_get(
    networking_fd_t fd,
    networking_socket_option_t option,
    networking_socket_option_value_t *result)
{
    return (networking_errno_t)networking_import_option_get(
        (int32_t)fd, (int32_t)option, (int32_t)(intptr_t)result);
}

__attribute__((import_module("networking"), import_name("option_set")))
int32_t networking_import_option_set(int32_t, int32_t, int64_t);
/*
 * Sets an option.
 *
 * Errors: `badf`, `notsock`; `notcapable` without the right `fd_fdstat_set_flags`; `inval` for a protocol object, an
 * unknown option or a value out of its range; `noprotoopt` where the protocol does not have it.
 *
 * fd: A control, a connection or a stream.
 *
 * option: Which option.
 *
 * value: Its new value, in the option's unit.
 */
static inline networking_errno_t networking_option_set(
    networking_fd_t fd,
    networking_socket_option_t option,
    networking_socket_option_value_t value)
{
    return (networking_errno_t)networking_import_option_set(
        (int32_t)fd, (int32_t)option, (int64_t)value);
}

/*
 * The descriptor that the host named so, from the list `name=fd,name=fd` in the environment variable
 * NETWORKING_FDS. A null name finds the last of the list, which is a protocol object wherever there is one,
 * since those come after controls and connections. -1 when there is none.
 */
static inline int networking_find(const char *name)
{
    const char *item = getenv("NETWORKING_FDS");
    size_t wanted_len = name ? strlen(name) : 0;
    int found = -1;
    while (item && *item) {
        size_t item_len = strcspn(item, ",");
        size_t name_len = strcspn(item, "=,");
        if (name_len < item_len && (!name || (name_len == wanted_len && !memcmp(item, name, name_len))))
            found = atoi(item + name_len + 1);
        item += item_len + (item[item_len] == ',');
    }
    return found;
}

#ifdef __cplusplus
}
#endif
#endif
