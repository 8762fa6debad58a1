/* Does nothing, for ever: waits for a clock that is years away, or accepts on an address. */
#include "common.h"

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc > 1) {
        int control = listen_on(argv[1], STREAM, 16, 0);
        for (;;) {
            int fd = accept_stream(control);
            if (fd < 0)
                die("accept", errno);
            close(fd);
        }
    }
    for (;;)
        sleep(365 * 24 * 3600);
}
