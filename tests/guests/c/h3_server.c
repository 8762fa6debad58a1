/*
 * A web server that speaks HTTP/3 and has one page, of as many bytes as the last argument says. It takes one connection
 * after the other and one request after the other, and leaves unread what QPACK has to say: its own table stays empty.
 */
#include "h3.h"

static unsigned char buffer[16384];

/* By its first byte: a frame of headers. Streams that go one way are the peer's control stream and QPACK's. */
static bool is_request(int stream)
{
    return read(stream, buffer, 1) == 1 && buffer[0] == H3_HEADERS;
}

static void answer(int stream, size_t bytes)
{
    /* No reference to the dynamic table, and one line. */
    static const unsigned char headers[] = {0, 0, H3_STATUS_200};
    h3_write_frame(stream, H3_HEADERS, headers, sizeof headers);
    for (size_t sent = 0; sent < bytes;) {
        size_t len = bytes - sent < sizeof buffer ? bytes - sent : sizeof buffer;
        for (size_t i = 0; i < len; i++)
            buffer[i] = (unsigned char)('a' + (sent + i) % 26);
        h3_write_frame(stream, H3_DATA, buffer, len);
        sent += len;
    }
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    int control = listen_on(argument(argc, argv, 1, "0.0.0.0:443"), STREAM, 128, 0);
    long max = atol(argument(argc, argv, 2, "0"));
    size_t bytes = strtoul(argument(argc, argv, 3, "1000"), NULL, 10);
    for (long served = 0; max == 0 || served < max; served++) {
        int connection, kept[16], count = 0, requests = 0;
        int error = networking_accept(control, &connection);
        if (error)
            die("accept", error);
        kept[count++] = h3_begin(connection);
        for (int stream; !(error = networking_stream_accept(connection, &stream));) {
            if (!is_request(stream)) {
                if (count == 16)
                    die("streams", EMFILE);
                kept[count++] = stream; /* it is to stay open */
                continue;
            }
            while (read(stream, buffer, sizeof buffer) > 0)
                continue;
            answer(stream, bytes);
            close(stream);
            requests++;
        }
        if (error != NETWORKING_ERRNO_CONNABORTED)
            die("stream_accept", error);
        while (count > 0)
            close(kept[--count]);
        close(connection);
        printf("%d requests\n", requests);
        fflush(stdout);
    }
    return 0;
}
