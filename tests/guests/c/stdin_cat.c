/* Copies standard input to standard output. */
#include "common.h"

static char buffer[65536];

int main(void)
{
    for (ssize_t got; (got = read(0, buffer, sizeof buffer)) != 0;) {
        if (got < 0)
            die("read", errno);
        write_all(1, buffer, (size_t)got);
    }
    return 0;
}
