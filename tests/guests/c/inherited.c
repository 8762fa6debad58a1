/*
 * A server that knows nothing of the networking module: it accepts on descriptor 3, as a program that inetd or any
 * other preview 1 host started would, and sends everything back. After as many connections as it is told, it ends.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[4096];

int main(int argc, char **argv)
{
    long max = argc > 1 ? atol(argv[1]) : 1;
    for (long served = 0; served < max; served++) {
        int fd = accept(3, NULL, NULL);
        if (fd < 0) {
            fprintf(stderr, "accept: %s\n", strerror(errno));
            return 1;
        }
        for (ssize_t got; (got = recv(fd, buffer, sizeof buffer, 0)) != 0;) {
            if (got < 0 || send(fd, buffer, (size_t)got, 0) != got) {
                fprintf(stderr, "echo: %s\n", strerror(errno));
                return 1;
            }
        }
        close(fd);
    }
    printf("served %ld connections\n", max);
    return 0;
}
