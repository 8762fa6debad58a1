/* A relay of datagrams for one client of a SOCKS 5 server (RFC 1928, 7), for as long as its stream is open. */
#ifndef ASSOCIATE_H
#define ASSOCIATE_H

#include "common.h"

#define DESTINATIONS 8
#define HEADER 262

static struct destination {
    char address[300];
    int fd;
} destinations[DESTINATIONS];
static int known;

/* Where a datagram's header says that it goes: the header's length, or 0 if it is none, or a fragment. */
static size_t header(const unsigned char *datagram, size_t len, char *address, size_t size)
{
    char host[256];
    size_t at;
    if (len < 10 || datagram[0] || datagram[1] || datagram[2])
        return 0;
    if (datagram[3] == 1) {
        snprintf(host, sizeof host, "%d.%d.%d.%d", datagram[4], datagram[5], datagram[6], datagram[7]);
        at = 8;
    } else if (datagram[3] == 3 && len >= 7u + datagram[4]) {
        snprintf(host, sizeof host, "%.*s", datagram[4], (const char *)datagram + 5);
        at = 5 + datagram[4];
    } else {
        return 0;
    }
    snprintf(address, size, "%s:%d", host, datagram[at] << 8 | datagram[at + 1]);
    return at + 2;
}

/* The flow to a destination, a new one if it is the first time; -1 for one that cannot be. */
static int towards(const char *address)
{
    for (int i = 0; i < known; i++)
        if (!strcmp(destinations[i].address, address))
            return destinations[i].fd;
    if (known == DESTINATIONS)
        return -1;
    int control = open_towards(address, DATAGRAM, 0), connection, fd = -1;
    int error = networking_connect(control, address, &connection);
    close(control);
    if (!error) {
        error = networking_stream_create(connection, RIGHTS, 0, 0, &fd);
        close(connection);
    }
    printf("%s: %s\n", address, error ? strerror(error) : "datagrams");
    fflush(stdout);
    snprintf(destinations[known].address, sizeof destinations[known].address, "%s", address);
    destinations[known++].fd = error ? -1 : fd;
    return error ? -1 : fd;
}

/* The port of an address, the host before it cut off; its four bytes. */
static void ipv4(char *address, unsigned char *bytes)
{
    char *port = strrchr(address, ':');
    int number = atoi(port + 1);
    unsigned ip[4] = {0};
    *port = 0;
    sscanf(address, "%u.%u.%u.%u", ip, ip + 1, ip + 2, ip + 3);
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)ip[i];
    bytes[4] = (unsigned char)(number >> 8), bytes[5] = (unsigned char)number;
}

static void own_address(int fd, bool local, char *address, size_t size)
{
    networking_size_t len;
    int error = local ? networking_local_address(fd, (uint8_t *)address, size - 1, &len)
                      : networking_peer_address(fd, (uint8_t *)address, size - 1, &len);
    if (error)
        die("address", error);
    address[len] = 0;
}

/* An answer from a destination, with its true address before it. */
static void answer(int client, int fd)
{
    static unsigned char datagram[HEADER + 65535];
    char address[300];
    ssize_t got = read(fd, datagram + 10, sizeof datagram - 10);
    if (got < 0)
        return;
    own_address(fd, false, address, sizeof address);
    memcpy(datagram, "\0\0\0\1", 4);
    ipv4(address, datagram + 4);
    write_all(client, datagram, 10 + (size_t)got);
}

static void pass(int client)
{
    static unsigned char datagram[HEADER + 65535];
    char address[300];
    ssize_t got = read(client, datagram, sizeof datagram);
    if (got < 0)
        die("read", errno);
    size_t at = header(datagram, (size_t)got, address, sizeof address);
    int fd = at ? towards(address) : -1;
    if (fd >= 0 && write(fd, datagram + at, (size_t)got - at) < 0)
        printf("%s: %s\n", address, strerror(errno));
}

static void associate(int stream)
{
    char own[300];
    unsigned char reply[10] = {5, 0, 0, 1};
    int client = -1, control;
    own_address(stream, true, own, sizeof own);
    strcpy(strrchr(own, ':'), ":0");
    int error = networking_open(protocol_for(own), own, DATAGRAM, RIGHTS, RIGHTS, 0, &control);
    if (!error)
        error = networking_listen(control, 4);
    if (error)
        die(own, error);
    own_address(control, true, own, sizeof own);
    ipv4(own, reply + 4);
    write_all(stream, reply, sizeof reply);
    for (known = 0;;) {
        struct pollfd fds[3 + DESTINATIONS] = {
            {.fd = stream, .events = POLLIN}, {.fd = control, .events = POLLIN}, {.fd = client, .events = POLLIN}};
        for (int i = 0; i < known; i++)
            fds[3 + i] = (struct pollfd){.fd = destinations[i].fd, .events = POLLIN};
        if (poll(fds, 3 + (nfds_t)known, -1) < 0)
            die("poll", errno);
        if (fds[0].revents)
            break;
        /* The first who comes is the client; nobody else is served. */
        if (fds[1].revents) {
            int flow = accept_stream(control);
            if (client < 0)
                client = flow;
            else if (flow >= 0)
                close(flow);
        }
        for (int i = known; i-- > 0;)
            if (fds[3 + i].revents)
                answer(client, destinations[i].fd);
        if (fds[2].revents)
            pass(client);
    }
    for (int i = 0; i < known; i++)
        if (destinations[i].fd >= 0)
            close(destinations[i].fd);
    if (client >= 0)
        close(client);
    close(control);
}

#endif
