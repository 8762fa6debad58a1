/* Prints random bytes in hexadecimal. */
#include "common.h"

int main(int argc, char **argv)
{
    size_t len = (size_t)atol(argument(argc, argv, 1, "32"));
    unsigned char bytes[256];
    while (len > 0) {
        size_t part = len < sizeof bytes ? len : sizeof bytes;
        if (getentropy(bytes, part) < 0)
            die("random_get", errno);
        for (size_t i = 0; i < part; i++)
            printf("%02x", bytes[i]);
        len -= part;
    }
    printf("\n");
    return 0;
}
