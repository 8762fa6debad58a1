/* Accepts one connection and sends each byte back until the peer ends it. */
#include "common.h"

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    int control = listen_on(argument(argc, argv, 1, "0.0.0.0:5002"), STREAM, 1, 0);
    int fd = accept_stream(control);
    if (fd < 0)
        die("accept", errno);
    char byte;
    while (read_full(fd, &byte, 1) == 1)
        write_all(fd, &byte, 1);
    return 0;
}
