/* Accepts connections one after the other; takes a byte from each and gives it back. */
#include "common.h"

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    int control = listen_on(argument(argc, argv, 1, "0.0.0.0:5003"), STREAM, 128, 0);
    long max = atol(argument(argc, argv, 2, "0"));
    for (long served = 0; max == 0 || served < max; served++) {
        char byte;
        int fd = accept_stream(control);
        if (fd < 0)
            die("accept", errno);
        if (read_full(fd, &byte, 1) == 1)
            write_all(fd, &byte, 1);
        close(fd);
    }
    return 0;
}
