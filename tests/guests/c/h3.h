/* What HTTP/3 takes at the least (RFC 9114): variable-length integers, frames, and a control stream with settings on it. */
#ifndef H3_H
#define H3_H

#include "common.h"

#define H3_DATA 0
#define H3_HEADERS 1
#define H3_SETTINGS 4
#define H3_STATUS_200 0xd9 /* QPACK: number 25 of the static table (RFC 9204, appendix A) */

/* RFC 9000, 16. How many bytes it took, up to eight. */
static size_t h3_put_integer(unsigned char *at, uint64_t value)
{
    unsigned log = value < 64 ? 0 : value < 16384 ? 1 : value < 1u << 30 ? 2 : 3;
    size_t len = (size_t)1 << log;
    for (size_t i = 0; i < len; i++)
        at[i] = (unsigned char)(value >> 8 * (len - 1 - i));
    at[0] |= (unsigned char)(log << 6);
    return len;
}

/* How many bytes it took; 0 if `len` do not hold it. */
static size_t h3_take_integer(const unsigned char *at, size_t len, uint64_t *value)
{
    size_t need = len ? (size_t)1 << (at[0] >> 6) : 1;
    if (len < need)
        return 0;
    *value = at[0] & 0x3f;
    for (size_t i = 1; i < need; i++)
        *value = *value << 8 | at[i];
    return need;
}

static void h3_write_frame(int stream, uint64_t type, const void *content, size_t len)
{
    unsigned char head[16];
    size_t size = h3_put_integer(head, type);
    size += h3_put_integer(head + size, len);
    write_all(stream, head, size);
    if (len)
        write_all(stream, content, len);
}

/* Our control stream, which stays open as long as the connection (RFC 9114, 6.2.1); its settings are the defaults. */
static int h3_begin(int connection)
{
    int control, error = networking_option_set(connection, NETWORKING_SOCKET_OPTION_UNIDIRECTIONAL, 1);
    if (!error)
        error = networking_stream_create(connection, RIGHTS, 0, 0, &control);
    if (!error)
        error = networking_option_set(connection, NETWORKING_SOCKET_OPTION_UNIDIRECTIONAL, 0);
    if (error)
        die("control stream", error);
    write_all(control, "\0", 1);
    h3_write_frame(control, H3_SETTINGS, NULL, 0);
    return control;
}

#endif
