/*
 * Sends everything back to hundreds of clients at once, without ever blocking but in poll. A client that does not
 * read its echoes is not read from either.
 *
 * The second argument says after how many connections it ends; 0 is never.
 */
#include "clients.h"

enum { ROOM = 16384 };

struct echo {
    struct client client;
    bool ended;        /* the peer will send no more */
    size_t begin, end; /* what waits in the buffer to be sent back */
    char buffer[ROOM];
};

static unsigned long long echoed;
static long connections;

static void begin(void *client)
{
    (void)client;
    connections++;
}

static bool serve(void *client)
{
    struct echo *echo = client;
    for (;;) {
        echo->client.writes = echo->begin < echo->end;
        if (echo->client.writes) {
            ssize_t sent = write(echo->client.fd, echo->buffer + echo->begin, echo->end - echo->begin);
            if (sent < 0)
                return errno == EAGAIN;
            echo->begin += (size_t)sent;
            echoed += (unsigned long long)sent;
        } else if (echo->ended) {
            return false;
        } else {
            ssize_t got = read(echo->client.fd, echo->buffer, ROOM);
            if (got < 0)
                return errno == EAGAIN;
            echo->ended = got == 0;
            echo->begin = 0;
            echo->end = (size_t)got;
        }
    }
}

int main(int argc, char **argv)
{
    static const struct service service = {.client_size = sizeof(struct echo), .begin = begin, .serve = serve};
    take_names(&argc, &argv);
    int control = listen_on(argument(argc, argv, 1, "0.0.0.0:7"), STREAM, 1024, NONBLOCK);
    serve_clients(&service, control, atol(argument(argc, argv, 2, "0")));
    printf("echoed %llu bytes of %ld connections, %d at once\n", echoed, connections, client_most);
    return 0;
}
