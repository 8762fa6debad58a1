/*
 * A client that knows nothing of the networking module: it talks over descriptor 3, as a program that inetd or any other
 * preview 1 host started would, and checks that what it sends comes back.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char back[4096];

int main(int argc, char **argv)
{
    const char *message = argc > 1 ? argv[1] : "hello";
    long count = argc > 2 ? atol(argv[2]) : 1;
    size_t len = strlen(message);
    if (len == 0 || len > sizeof back)
        return 2;
    for (long i = 0; i < count; i++) {
        if (send(3, message, len, 0) != (ssize_t)len) {
            fprintf(stderr, "send: %s\n", strerror(errno));
            return 1;
        }
        for (size_t have = 0; have < len;) {
            ssize_t got = read(3, back + have, len - have);
            if (got <= 0) {
                fprintf(stderr, "read: %s\n", got < 0 ? strerror(errno) : "the end");
                return 1;
            }
            have += (size_t)got;
        }
        if (memcmp(message, back, len)) {
            fprintf(stderr, "message %ld of %ld came back as another\n", i + 1, count);
            return 1;
        }
    }
    if (shutdown(3, SHUT_WR) < 0) {
        fprintf(stderr, "shutdown: %s\n", strerror(errno));
        return 1;
    }
    close(3);
    printf("echoed %zu bytes\n", len * (size_t)count);
    return 0;
}
