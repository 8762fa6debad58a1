/*
 * Echoes every stream of every connection, all of them at once. What came on a stream that goes one way goes back on
 * another such stream once it has ended. Ends after as many connections as the last argument says.
 */
#include "common.h"

#define MESSAGE 1024 /* bytes of a stream that goes one way */

struct entry {
    int fd;
    int connection; /* its own, for a stream */
    bool is_connection;
    bool is_one_way;
    size_t have;
    char *message;
};

static char buffer[16384];
static struct entry *entries;
static struct pollfd *polled;
static int count, room;

static void add(struct entry entry)
{
    if (count == room) {
        room = room ? 2 * room : 64;
        entries = realloc(entries, sizeof *entries * (size_t)room);
        polled = realloc(polled, sizeof *polled * (size_t)room);
        if (!entries || !polled)
            die("realloc", errno);
    }
    entries[count++] = entry;
}

static void answer_one_way(struct entry *entry)
{
    int stream;
    int error = networking_option_set(entry->connection, NETWORKING_SOCKET_OPTION_UNIDIRECTIONAL, 1);
    if (!error)
        error = networking_stream_create(entry->connection, RIGHTS, 0, 0, &stream);
    if (error)
        die("stream_create", error);
    write_all(stream, entry->message, entry->have);
    close(stream);
}

/* False once the stream has ended. */
static bool serve(struct entry *entry)
{
    ssize_t got = read(entry->fd, buffer, sizeof buffer);
    if (got < 0) {
        if (errno != ECONNRESET && errno != ECONNABORTED)
            fprintf(stderr, "%s: read: %s\n", guest_name, strerror(errno));
        return false;
    }
    if (got == 0) {
        if (entry->is_one_way)
            answer_one_way(entry);
        return false;
    }
    ssize_t wrote = entry->is_one_way ? -1 : write(entry->fd, buffer, (size_t)got);
    for (ssize_t more; wrote > 0 && wrote < got; wrote = more < 0 ? more : wrote + more)
        more = write(entry->fd, buffer + wrote, (size_t)(got - wrote));
    if (wrote < 0 && (entry->is_one_way || errno == ENOTSUP)) {
        entry->is_one_way = true;
        entry->message = realloc(entry->message, MESSAGE);
        if (!entry->message || entry->have + (size_t)got > MESSAGE)
            die("one way", EMSGSIZE);
        memcpy(entry->message + entry->have, buffer, (size_t)got);
        entry->have += (size_t)got;
        return true;
    }
    return wrote >= 0;
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    const char *bind = argument(argc, argv, 1, "0.0.0.0:443");
    long max = atol(argument(argc, argv, 2, "1"));
    long ended = 0, streams = 0;

    add((struct entry){.fd = listen_on(bind, STREAM, 1024, 0), .connection = -1});
    while (ended < max) {
        for (int i = 0; i < count; i++)
            polled[i] = (struct pollfd){.fd = entries[i].fd, .events = POLLIN};
        if (poll(polled, (nfds_t)count, -1) < 0)
            die("poll", errno);
        for (int i = count - 1; i >= 0; i--) {
            if (!polled[i].revents)
                continue;
            int fd, error;
            if (i == 0) {
                error = networking_accept(entries[0].fd, &fd);
                if (error)
                    die("accept", error);
                add((struct entry){.fd = fd, .connection = -1, .is_connection = true});
                continue;
            }
            if (entries[i].is_connection) {
                error = networking_stream_accept(entries[i].fd, &fd);
                if (!error) {
                    streams++;
                    add((struct entry){.fd = fd, .connection = entries[i].fd});
                    continue;
                }
                if (error != NETWORKING_ERRNO_CONNABORTED)
                    die("stream_accept", error);
                ended++;
            } else if (serve(&entries[i])) {
                continue;
            }
            close(entries[i].fd);
            free(entries[i].message);
            entries[i] = entries[--count];
            polled[i] = polled[count];
        }
    }
    printf("%ld streams of %ld connections\n", streams, ended);
    return 0;
}
