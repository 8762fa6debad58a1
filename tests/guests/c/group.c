/*
 * Datagrams to groups and to everybody.
 *
 *   group listen BIND GROUP,... COUNT   hears COUNT datagrams, says of each where it came from and where to, answers it, and
 *                                       leaves the groups; `-` for no group
 *   group ask PEER TEXT MILLISECONDS [HOPS [LOOP]]
 *                                       sends TEXT from a port of its own, and tells the answers that come within that time
 */
#include "common.h"

static char buffer[2048], here[128], there[128];

static void address_of(networking_errno_t (*get)(networking_fd_t, void *, networking_size_t, networking_size_t *), int fd, char *text)
{
    networking_size_t length = 0;
    int error = get(fd, text, 127, &length);
    if (error)
        die("address", error);
    text[length] = 0;
}

/* The next datagram of whatever peer; false if there is none within that time. Says of it where it came from. */
static bool hear(int control, int *streams, int *count, int milliseconds, bool answer)
{
    for (;;) {
        struct pollfd polled[64] = {{.fd = control, .events = POLLIN}};
        for (int i = 0; i < *count; i++)
            polled[i + 1] = (struct pollfd){.fd = streams[i], .events = POLLIN};
        int ready = poll(polled, (nfds_t)*count + 1, milliseconds);
        if (ready < 0)
            die("poll", errno);
        if (!ready)
            return false;
        for (int i = 0; i < *count; i++) {
            if (!polled[i + 1].revents)
                continue;
            ssize_t got = read(streams[i], buffer, sizeof buffer - 16);
            if (got < 0)
                die("read", errno);
            address_of(networking_local_address, streams[i], here);
            address_of(networking_peer_address, streams[i], there);
            printf("%s to %s: %.*s\n", there, here, (int)got, buffer);
            fflush(stdout);
            if (answer) {
                memmove(buffer + 6, buffer, (size_t)got);
                memcpy(buffer, "heard ", 6);
                write_all(streams[i], buffer, (size_t)got + 6);
            }
            return true;
        }
        if (polled[0].revents && *count < 63) {
            int stream = accept_stream(control);
            if (stream < 0)
                die("accept", errno);
            streams[(*count)++] = stream;
        }
    }
}

static void each(int control, const char *groups, bool join)
{
    char list[256];
    snprintf(list, sizeof list, "%s", groups);
    if (!strcmp(list, "-"))
        return;
    for (char *group = strtok(list, ","); group; group = strtok(NULL, ",")) {
        int error = join ? networking_group_join(control, group) : networking_group_leave(control, group);
        if (error)
            die(group, error);
    }
}

int main(int argc, char **argv)
{
    int streams[64], count = 0, control;
    if (argc > 0)
        guest_name = argv[0];
    const char *mode = argument(argc, argv, 1, "");
    if (!strcmp(mode, "listen") && argc == 5) {
        control = listen_on(argv[2], DATAGRAM, 32, 0);
        each(control, argv[3], true);
        printf("listening\n");
        fflush(stdout);
        for (long left = atol(argv[4]); left > 0; left--)
            hear(control, streams, &count, -1, true);
        each(control, argv[3], false);
        printf("left\n");
        return 0;
    }
    if (strcmp(mode, "ask") || argc < 5)
        usage("listen BIND GROUP,... COUNT | ask PEER TEXT MILLISECONDS [HOPS [LOOP]]");
    control = listen_on(argv[2][0] == '[' ? "[::]:0" : "0.0.0.0:0", DATAGRAM, 32, 0);
    int error = argc > 5 ? networking_option_set(control, NETWORKING_SOCKET_OPTION_GROUP_HOP_LIMIT, strtoull(argv[5], NULL, 10)) : 0;
    if (!error && argc > 6)
        error = networking_option_set(control, NETWORKING_SOCKET_OPTION_GROUP_LOOP, strtoull(argv[6], NULL, 10));
    int connection, stream;
    if (!error)
        error = networking_connect(control, argv[2], &connection);
    if (!error)
        error = networking_stream_create(connection, RIGHTS, 0, 0, &stream);
    if (error)
        die(argv[2], error);
    write_all(stream, argv[3], strlen(argv[3]));
    int milliseconds = atoi(argv[4]);
    while (hear(control, streams, &count, milliseconds, false)) {
    }
    return 0;
}
