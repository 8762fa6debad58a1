/*
 * Fetches a page by HTTP/3 as often as it is told, on as many connections, and prints what came of each: its status, and
 * the page. Between two requests it may pause, and the connection move meanwhile.
 */
#include "h3.h"

static unsigned char answer[1 << 20];

/* A line of QPACK: a name of the static table, and a value as it is (RFC 9204, 4.5.4). */
static size_t put_line(unsigned char *at, unsigned name, const char *value)
{
    size_t len = strlen(value);
    if (len > 126)
        die(value, ENAMETOOLONG);
    at[0] = (unsigned char)(0x50 | name);
    at[1] = (unsigned char)len;
    memcpy(at + 2, value, len);
    return 2 + len;
}

static void fetch(int connection, const char *authority, const char *path)
{
    /* No reference to the dynamic table; `:method: GET` and `:scheme: https` are the table's numbers 17 and 23. */
    unsigned char headers[512] = {0, 0, 0xd1, 0xd7};
    size_t len = 4, have;
    int stream, error = networking_stream_create(connection, RIGHTS, 0, 0, &stream);
    if (error)
        die("stream_create", error);
    len += put_line(headers + len, 0, authority);
    len += put_line(headers + len, 1, path);
    h3_write_frame(stream, H3_HEADERS, headers, len);
    shutdown(stream, SHUT_WR);
    have = read_full(stream, answer, sizeof answer);
    for (size_t at = 0; at < have;) {
        uint64_t type, size = 0;
        size_t head = h3_take_integer(answer + at, have - at, &type);
        head += head ? h3_take_integer(answer + at + head, have - at - head, &size) : 0;
        if (head < 2 || size > have - at - head) {
            fprintf(stderr, "%s: a frame is cut short\n", guest_name);
            exit(1);
        }
        at += head;
        if (type == H3_HEADERS)
            printf("%s\n", size > 2 && answer[at + 2] == H3_STATUS_200 ? "200" : "not 200");
        if (type == H3_DATA)
            fwrite(answer + at, 1, size, stdout);
        at += size;
    }
    fflush(stdout);
    close(stream);
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 4)
        usage("ADDRESS AUTHORITY PATH [CONNECTIONS] [REQUESTS] [PAUSE_MS]");
    long connections = atol(argument(argc, argv, 4, "1")), requests = atol(argument(argc, argv, 5, "1"));
    long pause = atol(argument(argc, argv, 6, "0"));
    for (long i = 0; i < connections; i++) {
        int connection = connection_to(argv[1], STREAM), control = h3_begin(connection);
        for (long j = 0; j < requests; j++) {
            struct timespec time = {.tv_sec = pause / 1000, .tv_nsec = pause % 1000 * 1000000};
            if (j > 0 && pause)
                nanosleep(&time, NULL);
            fetch(connection, argv[2], argv[3]);
        }
        close(control);
        close(connection);
    }
    return 0;
}
