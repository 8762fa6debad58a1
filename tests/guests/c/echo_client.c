/*
 * Sends a message, again and again, and checks that each comes back. A datagram that does not within two seconds is
 * sent again, five times at most; echoes of earlier tries are told apart by the number in front.
 */
#include "common.h"

static char sent[65536], got[65536];

static bool readable(int fd, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    int ready = poll(&one, 1, timeout_ms);
    if (ready < 0)
        die("poll", errno);
    return ready > 0;
}

static bool echo_datagram(int fd, size_t len)
{
    for (int attempt = 0; attempt < 5; attempt++) {
        write_all(fd, sent, len);
        while (readable(fd, 2000)) {
            ssize_t back = read(fd, got, sizeof got);
            if (back < 0)
                die("read", errno);
            if ((size_t)back == len && !memcmp(sent, got, len))
                return true;
        }
    }
    return false;
}

static bool echo_stream(int fd, size_t len)
{
    write_all(fd, sent, len);
    return read_full(fd, got, len) == len && !memcmp(sent, got, len);
}

/* "@N" stands for a message of N bytes. */
static const char *message_for(const char *text)
{
    static char filled[sizeof sent];
    if (text[0] != '@')
        return text;
    size_t len = (size_t)atol(text + 1);
    for (size_t i = 0; i < len && i < sizeof filled - 1; i++)
        filled[i] = (char)('a' + i % 23);
    return filled;
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 2)
        usage("ADDRESS [stream|dgram] [MESSAGE] [COUNT]");
    networking_filetype_t type = socket_type(argument(argc, argv, 2, "stream"));
    const char *message = message_for(argument(argc, argv, 3, "hello"));
    long count = atol(argument(argc, argv, 4, "1"));
    unsigned long long total = 0;

    int fd = dial(argv[1], type);
    for (long i = 0; i < count; i++) {
        int len = count > 1 ? snprintf(sent, sizeof sent, "%ld %s", i, message)
                            : snprintf(sent, sizeof sent, "%s", message);
        if (len < 0 || (size_t)len >= sizeof sent) {
            fprintf(stderr, "%s: the message is too long\n", guest_name);
            return 2;
        }
        if (!(type == DATAGRAM ? echo_datagram(fd, (size_t)len) : echo_stream(fd, (size_t)len))) {
            fprintf(stderr, "%s: message %ld of %ld did not come back whole\n", guest_name, i + 1, count);
            return 1;
        }
        total += (unsigned long long)len;
    }
    close(fd);
    printf("echoed %llu bytes\n", total);
    return 0;
}
