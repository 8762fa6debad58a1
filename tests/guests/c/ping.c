/*
 * Echo requests over a protocol object of kind icmp: so many, one every so often, with what became of them; or, as
 * traceroute(8) does, with a hop limit that grows until the host itself answers.
 */
#include "common.h"

#define HEADER 8
#define WAIT_MS 1000

static unsigned char sent[65536], got[65536];
static long answers, twice, errors;
static double least, most, sum;

static unsigned field(const unsigned char *at) { return (unsigned)at[0] << 8 | at[1]; }

static void set_hop_limit(int fd, long hops)
{
    int error = networking_option_set(fd, NETWORKING_SOCKET_OPTION_HOP_LIMIT, (uint64_t)hops);
    if (error)
        die("option_set", error);
}

/* An echo request with a number, and bytes that tell it from others. */
static void ask(int fd, bool v6, unsigned number, size_t bytes)
{
    sent[0] = v6 ? 128 : 8, sent[1] = 0;
    sent[6] = (unsigned char)(number >> 8), sent[7] = (unsigned char)number;
    for (size_t at = 0; at < bytes; at++)
        sent[HEADER + at] = pattern(at, number);
    if (write(fd, sent, HEADER + bytes) < 0) {
        printf("icmp_seq=%u %s\n", number, strerror(errno));
        errors++;
    }
}

/* The next answer within a time: its number, 0 after it, or -1 for an error, with errno. */
static long answer(int fd, bool v6, size_t bytes, uint64_t until)
{
    uint64_t now = now_ns();
    struct pollfd one = {.fd = fd, .events = POLLIN};
    int ready = poll(&one, 1, until > now ? (int)((until - now + 999999) / 1000000) : 0);
    if (ready < 0)
        die("poll", errno);
    if (!ready)
        return 0;
    ssize_t length = read(fd, got, sizeof got);
    if (length < 0)
        return -1;
    unsigned number = (size_t)length == HEADER + bytes ? field(got + 6) : 0;
    bool right = number && got[0] == (v6 ? 129 : 0) && got[1] == 0;
    for (size_t at = 0; right && at < bytes; at++)
        right = got[HEADER + at] == pattern(at, number);
    if (!right) {
        fprintf(stderr, "%s: not the answer to anything that was asked\n", guest_name);
        exit(1);
    }
    return (long)number;
}

static int trace(int fd, bool v6, const char *host, long hops_max)
{
    for (long hops = 1; hops <= hops_max; hops++) {
        set_hop_limit(fd, hops);
        uint64_t begun = now_ns();
        ask(fd, v6, (unsigned)hops, 32);
        long number = answer(fd, v6, 32, begun + WAIT_MS * 1000000ull);
        double ms = (double)(now_ns() - begun) / 1e6;
        if (number > 0) {
            printf("%ld %s %.3f ms\n", hops, host, ms);
            return 0;
        }
        printf("%ld %s %.3f ms\n", hops, number ? strerror(errno) : "*", ms);
    }
    return 1;
}

int main(int argc, char **argv)
{
    guest_name = argv[0];
    bool tracing = argc > 1 && !strcmp(argv[1], "trace");
    if (tracing)
        argc--, argv++;
    if (argc < 2) {
        fprintf(stderr, "usage: %s HOST [COUNT [MILLISECONDS [BYTES [HOPS]]]], or trace HOST [HOPS]\n", guest_name);
        return 2;
    }
    const char *host = argv[1];
    long count = atol(argument(argc, argv, 2, tracing ? "30" : "5"));
    uint64_t pause_ns = strtoull(argument(argc, argv, 3, "1000"), NULL, 10) * 1000000;
    size_t bytes = strtoul(argument(argc, argv, 4, "56"), NULL, 10);
    if (count < 1 || count > 65535 || bytes > sizeof sent - HEADER)
        return 2;

    int control, connection, fd;
    int error = networking_open(networking_find("icmp"), "::", DATAGRAM, RIGHTS, RIGHTS, 0, &control);
    if (error)
        die("open", error);
    error = networking_connect(control, host, &connection);
    if (!error)
        error = networking_stream_create(connection, RIGHTS, 0, 0, &fd);
    if (error)
        die(host, error);
    char peer[64];
    networking_size_t length;
    error = networking_peer_address(connection, peer, sizeof peer - 1, &length);
    if (error)
        die("peer_address", error);
    peer[length] = 0;
    bool v6 = strchr(peer, ':');
    if (tracing)
        return trace(fd, v6, peer, count);
    if (argc > 5)
        set_hop_limit(fd, atol(argv[5]));

    uint64_t *begun = calloc((size_t)count + 1, sizeof *begun);
    printf("PING %s (%s): %zu data bytes\n", host, peer, bytes);
    for (long number = 1; number <= count; number++) {
        uint64_t now = now_ns(), until = now + (number < count ? pause_ns : WAIT_MS * 1000000ull);
        begun[number] = now;
        ask(fd, v6, (unsigned)number, bytes);
        while (now < until && answers + errors < number + (number < count)) {
            long which = answer(fd, v6, bytes, until);
            now = now_ns();
            if (which < 0) {
                printf("%s\n", strerror(errno));
                errors++;
            } else if (which > 0 && which <= count && begun[which]) {
                double ms = (double)(now - begun[which]) / 1e6;
                printf("%zu bytes from %s: icmp_seq=%ld time=%.3f ms\n", HEADER + bytes, peer, which, ms);
                least = answers && least < ms ? least : ms, most = most > ms ? most : ms, sum += ms;
                begun[which] = 0, answers++;
            } else if (which > 0) {
                twice++;
            }
        }
    }
    printf("%ld packets transmitted, %ld received, %ld duplicates, %ld errors, %.0f%% packet loss\n", count, answers,
           twice, errors, (double)(count - answers) * 100 / (double)count);
    if (answers)
        printf("round-trip min/avg/max = %.3f/%.3f/%.3f ms\n", least, sum / (double)answers, most);
    return answers ? 0 : 1;
}
