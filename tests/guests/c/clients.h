/* The loop of a server with many clients that never blocks but in poll. */
#ifndef CLIENTS_H
#define CLIENTS_H

#include "common.h"

/* What the loop knows of a client; a service's own struct begins with it. */
struct client {
    int fd;
    bool writes; /* wait until it can be written to, not read from */
};

struct service {
    size_t client_size;
    /* Sets up what follows the `struct client`, which is zero. May be null. */
    void (*begin)(void *client);
    /* Reads and writes as far as it goes without waiting, and sets `writes`. False once the client is done with. */
    bool (*serve)(void *client);
    /* Gives back what `begin` and `serve` took, but for the descriptor. May be null. */
    void (*end)(void *client);
};

static struct client **clients;
static struct pollfd *polled;
static int client_count, client_room, client_most;

static void add_client(const struct service *service, int fd)
{
    if (client_count == client_room) {
        client_room = client_room ? 2 * client_room : 64;
        clients = realloc(clients, sizeof *clients * (size_t)client_room);
        polled = realloc(polled, sizeof *polled * (size_t)(client_room + 1));
    }
    struct client *client = calloc(1, service->client_size);
    if (!clients || !polled || !client)
        die("malloc", ENOMEM);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        die("fcntl", errno);
    client->fd = fd;
    if (service->begin)
        service->begin(client);
    clients[client_count++] = client;
    if (client_count > client_most)
        client_most = client_count;
}

static void accept_clients(const struct service *service, int control)
{
    for (;;) {
        int fd = accept_stream(control);
        if (fd < 0 && errno == EAGAIN)
            return;
        if (fd < 0)
            die("accept", errno);
        add_client(service, fd);
    }
}

/* Serves the clients of a non-blocking control; after `max` of them have come and gone it returns, with 0 never. */
static void serve_clients(const struct service *service, int control, long max)
{
    polled = malloc(sizeof *polled);
    for (long ended = 0; max == 0 || ended < max;) {
        for (int i = 0; i < client_count; i++)
            polled[i] = (struct pollfd){.fd = clients[i]->fd, .events = clients[i]->writes ? POLLOUT : POLLIN};
        polled[client_count] = (struct pollfd){.fd = control, .events = POLLIN};
        if (poll(polled, (nfds_t)client_count + 1, -1) < 0)
            die("poll", errno);
        bool knock = polled[client_count].revents;
        /* From the end, so that taking one out moves only one that had its turn. */
        for (int i = client_count - 1; i >= 0; i--) {
            if (!polled[i].revents || service->serve(clients[i]))
                continue;
            if (service->end)
                service->end(clients[i]);
            close(clients[i]->fd);
            free(clients[i]);
            clients[i] = clients[--client_count];
            ended++;
        }
        if (knock)
            accept_clients(service, control);
    }
}

#endif
