/*
 * A stranger at a QUIC server's door: datagrams of all lengths that look like the protocol's packets, of known and unknown
 * versions, cut short, changed and sent twice. It keeps count of what comes back: no more than three times what was sent
 * (RFC 9000, 8.1), and for a version that the server does not speak never more than what asked.
 */
#include "common.h"

static unsigned char packet[1500];
static uint32_t state = 12345;

static unsigned next_random(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

/* A long header (RFC 9000, 17.2): a version, ids of eight bytes, and whatever may follow. */
static size_t long_header(unsigned kind)
{
    static const unsigned char versions[4][4] = {{0, 0, 0, 1}, {0x1a, 0x2a, 0x3a, 0x4a}, {0, 0, 0, 0}, {0x6b, 0x33, 0x43, 0xcf}};
    for (size_t i = 0; i < sizeof packet; i++)
        packet[i] = (unsigned char)next_random();
    packet[0] = (unsigned char)(0xc0 | (kind & 0x3f));
    memcpy(packet + 1, versions[next_random() % 4], 4);
    packet[5] = next_random() % 8 ? 8 : (unsigned char)next_random();
    packet[14] = next_random() % 8 ? 8 : (unsigned char)next_random();
    return next_random() % 3 ? 1200 + next_random() % 200 : 1 + next_random() % 1400;
}

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 2)
        usage("ADDRESS [COUNT]");
    long count = atol(argument(argc, argv, 2, "1000"));
    unsigned long long sent = 0, got = 0;

    int fd = dial(argv[1], DATAGRAM);
    for (long i = 0; i < count; i++) {
        size_t len = long_header(next_random());
        if (i % 5 == 0)
            packet[0] &= 0x7f; /* a short header */
        for (int times = 1 + (i % 7 == 0); times > 0; times--) {
            write_all(fd, packet, len);
            sent += len;
        }
        struct pollfd one = {.fd = fd, .events = POLLIN};
        while (poll(&one, 1, 1) > 0) {
            ssize_t back = read(fd, packet, sizeof packet);
            if (back < 0)
                break;
            got += (unsigned long long)back;
        }
    }
    printf("%llu bytes sent\n", sent);
    if (got > 3 * sent) {
        fprintf(stderr, "%s: %llu bytes came back for %llu\n", guest_name, got, sent);
        return 1;
    }
    return 0;
}
