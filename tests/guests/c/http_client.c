/* Gets a page and prints its status and its body. The exit code is 0 for a status below 400. */
#include "common.h"

static char answer[65536];

int main(int argc, char **argv)
{
    take_names(&argc, &argv);
    if (argc < 3)
        usage("ADDRESS PATH [METHOD]");
    char request[2048];
    int len = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                       argument(argc, argv, 3, "GET"), argv[2], argv[1]);
    if (len < 0 || (size_t)len >= sizeof request)
        usage("ADDRESS PATH [METHOD]");

    int fd = dial(argv[1], STREAM);
    write_all(fd, request, (size_t)len);
    size_t have = read_full(fd, answer, sizeof answer - 1);
    answer[have] = 0;
    char *body = strstr(answer, "\r\n\r\n");
    int status;
    if (!body || sscanf(answer, "HTTP/1.%*1[01] %d", &status) != 1) {
        fprintf(stderr, "%s: no HTTP answer in %zu bytes\n", guest_name, have);
        return 1;
    }
    body += 4;
    printf("%d\n", status);
    fwrite(body, 1, have - (size_t)(body - answer), stdout);
    /* A long body goes on past the first buffer. */
    while (have == sizeof answer - 1 && (have = read_full(fd, answer, sizeof answer - 1)) > 0)
        fwrite(answer, 1, have, stdout);
    return status < 400 ? 0 : 1;
}
