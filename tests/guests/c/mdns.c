/*
 * As much of multicast DNS (RFC 6762) as it takes to be found and to find.
 *
 *   mdns answer SECONDS     answers questions about `guest.local` and its service `_lab._tcp.local`, for so long
 *   mdns ask NAME SECONDS   asks for NAME's address until it is told, and prints it
 */
#include "common.h"

#define GROUP "224.0.0.251"
#define AT_GROUP GROUP ":5353"

static unsigned char packet[1500], answer[512];

/* Writes a name of labels joined by dots. */
static int put_name(unsigned char *to, const char *name)
{
    int length = 0;
    while (*name) {
        int label = (int)strcspn(name, ".");
        to[length++] = (unsigned char)label;
        memcpy(to + length, name, (size_t)label);
        length += label, name += label + (name[label] == '.');
    }
    to[length++] = 0;
    return length;
}

/* The name at `*at`, in lower case; `*at` moves behind it. False if it is none. */
static bool get_name(const unsigned char *from, int length, int *at, char *name)
{
    int here = *at, jumps = 0, written = 0;
    bool jumped = false;
    for (;;) {
        if (here >= length)
            return false;
        int label = from[here];
        if (label >= 0xc0) {
            if (here + 1 >= length || ++jumps > 16)
                return false;
            if (!jumped)
                *at = here + 2;
            jumped = true, here = (label & 0x3f) << 8 | from[here + 1];
            continue;
        }
        here++;
        if (!label)
            break;
        if (here + label > length || written + label + 2 > 255)
            return false;
        for (int i = 0; i < label; i++) {
            char c = (char)from[here + i];
            name[written++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        }
        name[written++] = '.', here += label;
    }
    name[written ? written - 1 : 0] = 0;
    if (!jumped)
        *at = here;
    return true;
}

static int put_record(unsigned char *to, const char *name, int type, const unsigned char *data, int bytes)
{
    int length = put_name(to, name);
    unsigned char head[10] = {0, (unsigned char)type, 0x00, 1, 0, 0, 0, 120, (unsigned char)(bytes >> 8), (unsigned char)bytes};
    memcpy(to + length, head, 10);
    memcpy(to + length + 10, data, (size_t)bytes);
    return length + 10 + bytes;
}

static const char service[] = "_lab._tcp.local", instance[] = "guest._lab._tcp.local", host[] = "guest.local";

/* All there is to tell, whatever part of it was asked for. */
static int put_answer(const unsigned char address[4])
{
    static const unsigned char head[12] = {0, 0, 0x84, 0, 0, 0, 0, 4};
    static const unsigned char text[] = {7, 'k', 'i', 'n', 'd', '=', 'w', 'x'};
    unsigned char data[128] = {0, 0, 0, 0, 0, 80};
    memcpy(answer, head, 12);
    int length = 12;
    unsigned char name[128];
    length += put_record(answer + length, service, 12, name, put_name(name, instance));
    length += put_record(answer + length, instance, 33, data, 6 + put_name(data + 6, host));
    length += put_record(answer + length, instance, 16, text, 8);
    length += put_record(answer + length, host, 1, address, 4);
    return length;
}

/* What is asked for, or told, that is ours: 1 for a question of ours, 2 for the address of `wanted`, in `found`. */
static int look(int length, const char *wanted, unsigned char found[4])
{
    char name[256];
    if (length < 12)
        return 0;
    int at = 12, questions = packet[4] << 8 | packet[5];
    int records = (packet[6] << 8 | packet[7]) + (packet[8] << 8 | packet[9]) + (packet[10] << 8 | packet[11]);
    bool is_answer = packet[2] & 0x80;
    for (int i = 0; i < questions; i++) {
        if (!get_name(packet, length, &at, name) || (at += 4) > length)
            return 0;
        if (!is_answer && (!strcmp(name, service) || !strcmp(name, instance) || !strcmp(name, host)))
            return 1;
    }
    for (int i = 0; is_answer && i < records; i++) {
        if (!get_name(packet, length, &at, name) || at + 10 > length)
            return 0;
        int type = packet[at] << 8 | packet[at + 1], bytes = packet[at + 8] << 8 | packet[at + 9];
        at += 10;
        if (at + bytes > length)
            return 0;
        if (type == 1 && bytes == 4 && wanted && !strcmp(name, wanted)) {
            memcpy(found, packet + at, 4);
            return 2;
        }
        at += bytes;
    }
    return 0;
}

int main(int argc, char **argv)
{
    int streams[62], count = 0, connection, group;
    if (argc > 0)
        guest_name = argv[0];
    bool asks = argc == 4 && !strcmp(argv[1], "ask");
    if (!asks && !(argc == 3 && !strcmp(argv[1], "answer")))
        usage("answer SECONDS | ask NAME SECONDS");
    int control = listen_on("0.0.0.0:5353", DATAGRAM, 32, 0);
    int error = networking_group_join(control, GROUP);
    if (!error)
        error = networking_option_set(control, NETWORKING_SOCKET_OPTION_GROUP_HOP_LIMIT, 255);
    if (!error)
        error = networking_option_set(control, NETWORKING_SOCKET_OPTION_GROUP_LOOP, 0);
    if (!error)
        error = networking_connect(control, AT_GROUP, &connection);
    if (!error)
        error = networking_stream_create(connection, RIGHTS, 0, 0, &group);
    if (error)
        die(GROUP, error);
    /* Its own address, which is what it tells. */
    char text[128];
    networking_size_t length = 0;
    if ((error = networking_local_address(group, text, 127, &length)))
        die("local_address", error);
    text[length] = 0;
    unsigned char own[4], found[4];
    unsigned parts[4];
    if (sscanf(text, "%u.%u.%u.%u", parts, parts + 1, parts + 2, parts + 3) != 4)
        die(text, EINVAL);
    for (int i = 0; i < 4; i++)
        own[i] = (unsigned char)parts[i];

    time_t end = time(NULL) + atoi(argv[argc - 1]);
    unsigned char question[300] = {0, 0, 0, 0, 0, 1};
    int question_bytes = asks ? 12 + put_name(question + 12, argv[2]) : 0;
    while (time(NULL) < end) {
        if (asks) {
            question[question_bytes + 1] = 1, question[question_bytes + 3] = 1;
            write_all(group, question, (size_t)question_bytes + 4);
        }
        struct pollfd polled[63] = {{.fd = control, .events = POLLIN}};
        for (int i = 0; i < count; i++)
            polled[i + 1] = (struct pollfd){.fd = streams[i], .events = POLLIN};
        if (poll(polled, (nfds_t)count + 1, 500) < 0)
            die("poll", errno);
        for (int i = 0; i < count; i++) {
            ssize_t got = polled[i + 1].revents ? read(streams[i], packet, sizeof packet) : 0;
            int seen = got > 0 ? look((int)got, asks ? argv[2] : NULL, found) : 0;
            if (seen == 1 && !asks)
                write_all(group, answer, (size_t)put_answer(own));
            if (seen == 2) {
                printf("%s is %d.%d.%d.%d\n", argv[2], found[0], found[1], found[2], found[3]);
                return 0;
            }
        }
        if (polled[0].revents && count < 62) {
            if ((streams[count] = accept_stream(control)) < 0)
                die("accept", errno);
            count++;
        }
    }
    return asks ? 1 : 0;
}
