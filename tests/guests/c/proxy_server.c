/*
 * A proxy, for one client after another: a SOCKS 5 server, an HTTP proxy, or a balancer that begins each connection to the
 * one behind it with a PROXY header of version 1, or 2 (for the client, or for itself). With credentials it wants them:
 * `user:password`, or what Basic authentication has. A SOCKS server may be unable to make associations, or say that its relay is
 * elsewhere (10.0.0.99:9), or nonsense. Tells where it connected to. Or it is none: its answer has no end, or is none.
 */
#include "associate.h"

static const char *credentials;

/* What is said to who wants an association, other than to have one. */
static const char *refused;

/* A stream to whom the client wants, or -1 with errno. */
static int reach(const char *address)
{
    int control = open_towards(address, STREAM, 0), connection, stream;
    int error = networking_connect(control, address, &connection);
    close(control);
    if (!error) {
        error = networking_stream_create(connection, RIGHTS, 0, 0, &stream);
        close(connection);
    }
    printf("%s: %s\n", address, error ? strerror(error) : "connected");
    fflush(stdout);
    errno = error;
    return error ? -1 : stream;
}

/* A length and that many bytes, as text. */
static bool counted(int fd, char *text)
{
    unsigned char len;
    if (read_full(fd, &len, 1) != 1 || read_full(fd, text, len) != len)
        return false;
    text[len] = 0;
    return true;
}

static bool authenticated(int fd)
{
    char user[256], password[256], both[513];
    unsigned char version;
    if (read_full(fd, &version, 1) != 1 || !counted(fd, user) || !counted(fd, password))
        return false;
    snprintf(both, sizeof both, "%s:%s", user, password);
    bool right = !strcmp(both, credentials);
    write_all(fd, right ? "\1\0" : "\1\1", 2);
    return right;
}

/* RFC 1928. */
static int socks(int fd)
{
    unsigned char head[4], methods[255], port[2];
    char host[256], address[300];
    if (read_full(fd, head, 2) != 2 || head[0] != 5 || read_full(fd, methods, head[1]) != head[1])
        return -1;
    unsigned char method = credentials ? 2 : 0;
    if (!memchr(methods, method, head[1])) {
        write_all(fd, "\5\377", 2);
        return -1;
    }
    write_all(fd, (unsigned char[]){5, method}, 2);
    if (credentials && !authenticated(fd))
        return -1;
    if (read_full(fd, head, 4) != 4 || (head[1] != 1 && head[1] != 3))
        return -1;
    if (head[3] == 1) {
        unsigned char ip[4];
        if (read_full(fd, ip, 4) != 4)
            return -1;
        snprintf(host, sizeof host, "%d.%d.%d.%d", ip[0], ip[1], ip[2], ip[3]);
    } else if (head[3] != 3 || !counted(fd, host)) {
        return -1;
    }
    if (read_full(fd, port, 2) != 2)
        return -1;
    snprintf(address, sizeof address, "%s:%d", host, port[0] << 8 | port[1]);
    if (head[1] == 3) {
        if (!refused)
            associate(fd);
        else
            write_all(fd, refused, 10);
        /* The client ends it. */
        while (refused && read(fd, host, sizeof host) > 0)
            ;
        return -1;
    }
    int peer = reach(address);
    write_all(fd, peer < 0 ? "\5\5\0\1\0\0\0\0\0\0" : "\5\0\0\1\0\0\0\0\0\0", 10);
    return peer;
}

/* RFC 9110, 9.3.6. */
static int http(int fd)
{
    static const char granted[] = "HTTP/1.1 200 Connected\r\n\r\n", unknown[] = "HTTP/1.1 407 Who?\r\n\r\n",
                      gone[] = "HTTP/1.1 502 Nobody\r\n\r\n";
    char request[2048], address[300], wanted[600];
    size_t len = 0;
    while (len < 4 || memcmp(request + len - 4, "\r\n\r\n", 4)) {
        if (len == sizeof request - 1 || read(fd, request + len, 1) != 1)
            return -1;
        len++;
    }
    request[len] = 0;
    snprintf(wanted, sizeof wanted, "\r\nProxy-Authorization: Basic %s\r\n", credentials ? credentials : "");
    if (sscanf(request, "CONNECT %299s HTTP/1.1", address) != 1)
        return -1;
    if (credentials && !strstr(request, wanted)) {
        write_all(fd, unknown, sizeof unknown - 1);
        return -1;
    }
    int peer = reach(address);
    if (peer < 0)
        write_all(fd, gone, sizeof gone - 1);
    else
        write_all(fd, granted, sizeof granted - 1);
    return peer;
}

/* No proxy at all: an answer that begins well and has no end, or none. */
static int endless(int fd)
{
    char field[512];
    struct timespec pause = {.tv_nsec = 1000000};
    if (read(fd, field, sizeof field) <= 0)
        return -1;
    memset(field, 'y', sizeof field);
    memcpy(field, "HTTP/1.1 200 Connected\r\nX: ", 27);
    while (write(fd, field, sizeof field) > 0) {
        memset(field, 'y', sizeof field);
        nanosleep(&pause, NULL);
    }
    return -1;
}

/* The address and port of one side, apart. */
static void side(networking_errno_t (*ask)(int, void *, networking_size_t, networking_size_t *), int fd, char *ip,
                 char **port)
{
    networking_size_t len;
    int error = ask(fd, ip, 99, &len);
    if (error)
        die("address", error);
    ip[len] = 0;
    *port = strrchr(ip, ':');
    *(*port)++ = 0;
}

/* HAProxy's PROXY protocol, version 1. */
static int balance(int fd, const char *behind)
{
    char source[100], destination[100], header[300], *from, *to;
    side(networking_peer_address, fd, source, &from);
    side(networking_local_address, fd, destination, &to);
    int peer = reach(behind);
    if (peer >= 0)
        write_all(peer, header,
                  (size_t)snprintf(header, sizeof header, "PROXY TCP4 %s %s %s %s\r\n", source, destination, from, to));
    return peer;
}

/* Version 2: 12 bytes that no text begins with, LOCAL or PROXY, TCP over IPv4, and as many bytes as addresses and a NOOP have. */
static int balance_in_binary(int fd, const char *behind, bool local)
{
    unsigned char head[16 + 12 + 7] = "\r\n\r\n\0\r\nQUIT\n";
    char source[100], destination[100];
    own_address(fd, false, source, sizeof source);
    own_address(fd, true, destination, sizeof destination);
    head[12] = local ? 0x20 : 0x21, head[13] = local ? 0 : 0x11, head[15] = local ? 0 : 12 + 7;
    unsigned char from[6], to[6];
    ipv4(source, from), ipv4(destination, to);
    memcpy(head + 16, from, 4), memcpy(head + 20, to, 4), memcpy(head + 24, from + 4, 2), memcpy(head + 26, to + 4, 2);
    memcpy(head + 28, "\4\0\4noop", 7);
    int peer = reach(behind);
    if (peer >= 0)
        write_all(peer, head, 16u + head[15]);
    return peer;
}

static void relay(int one, int other)
{
    static char buffer[16384];
    struct pollfd both[] = {{.fd = one, .events = POLLIN}, {.fd = other, .events = POLLIN}};
    for (int open = 2; open;) {
        if (poll(both, 2, -1) < 0)
            die("poll", errno);
        for (int i = 0; i < 2; i++) {
            if (!both[i].revents)
                continue;
            ssize_t got = read(both[i].fd, buffer, sizeof buffer);
            int to = i ? one : other;
            if (got > 0) {
                write_all(to, buffer, (size_t)got);
                continue;
            }
            if (got < 0)
                return;
            shutdown(to, SHUT_WR);
            both[i].fd = -1;
            open--;
        }
    }
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 3)
        usage("BIND socks|unable|elsewhere|nonsense|http|balance|balance2|local|endless|gone [COUNT] [CREDENTIALS or ADDRESS]");
    const char *kind = argv[2];
    long max = atol(argument(argc, argv, 3, "0"));
    credentials = argument(argc, argv, 4, NULL);
    if (kind[0] == 'u')
        refused = "\5\7\0\1\0\0\0\0\0\0";
    else if (!strcmp(kind, "elsewhere"))
        refused = "\5\0\0\1\12\0\0\143\0\11";
    else if (kind[0] == 'n')
        refused = "\5\0\0\11garbage";
    int control = listen_on(argv[1], STREAM, 16, 0);
    for (long served = 0; max == 0 || served < max; served++) {
        int client = accept_stream(control);
        if (client < 0)
            die("accept", errno);
        int peer = kind[0] == 's' || refused ? socks(client)
                   : kind[0] == 'h' ? http(client)
                   : kind[0] == 'l' ? balance_in_binary(client, credentials, true)
                   : kind[0] == 'b' ? kind[7] ? balance_in_binary(client, credentials, false) : balance(client, credentials)
                   : kind[0] == 'e' ? endless(client)
                                    : -1;
        if (peer >= 0) {
            relay(client, peer);
            close(peer);
        }
        close(client);
    }
    return 0;
}
