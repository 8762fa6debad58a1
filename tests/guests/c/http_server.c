/*
 * HTTP/1.1 (RFC 9112): GET and HEAD over a preopened directory, many clients at once, connections kept alive.
 *
 * The third argument says after how many connections it ends; 0 is never.
 */
#include <sys/stat.h>

#include "clients.h"

struct visit {
    struct client client;
    int file;            /* whose rest follows what is in `out`; -1 for none */
    bool head, last;     /* send no body; close after this answer */
    size_t in_len;       /* of the request so far */
    size_t sent, len;    /* of `out`: how much was sent, and how long it is */
    char in[4096], out[16384];
};

static int root;

static void begin(void *client)
{
    ((struct visit *)client)->file = -1;
}

static void end(void *client)
{
    struct visit *visit = client;
    if (visit->file >= 0)
        close(visit->file);
}

static void head_of(struct visit *visit, int status, const char *reason, const char *type, long long len)
{
    visit->sent = 0;
    visit->len = (size_t)snprintf(visit->out, sizeof visit->out,
        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %lld\r\n%s%s\r\n", status, reason, type, len,
        status == 405 ? "Allow: GET, HEAD\r\n" : "", visit->last ? "Connection: close\r\n" : "");
}

static void refuse(struct visit *visit, int status, const char *reason)
{
    head_of(visit, status, reason, "text/plain", (long long)strlen(reason) + 1);
    if (!visit->head)
        visit->len += (size_t)snprintf(visit->out + visit->len, sizeof visit->out - visit->len, "%s\n", reason);
}

static const char *content_type(const char *path)
{
    const char *dot = strrchr(path, '.');
    if (dot && !strcmp(dot, ".html"))
        return "text/html; charset=utf-8";
    return dot && !strcmp(dot, ".txt") ? "text/plain; charset=utf-8" : "application/octet-stream";
}

/* Answers the request whose head, without its empty line, is in `in`. */
static void respond(struct visit *visit)
{
    char method[8] = "", path[1024] = "", version[16] = "";
    int words = sscanf(visit->in, "%7[A-Z] %1000[^ \r\n] %15[^ \r\n]", method, path, version);
    visit->head = !strcmp(method, "HEAD");
    /* A body is not read, so nothing can follow one. */
    visit->last = words != 3 || strncmp(version, "HTTP/1.", 7) || !strcmp(version, "HTTP/1.0") ||
                  strcasestr(visit->in, "\r\nConnection: close") || strcasestr(visit->in, "\r\nContent-Length:") ||
                  strcasestr(visit->in, "\r\nTransfer-Encoding:");
    path[strcspn(path, "?#")] = 0;
    size_t len = strlen(path);
    if (words != 3 || strncmp(version, "HTTP/1.", 7) || path[0] != '/' || strstr(path, "/../") ||
        (len >= 3 && !strcmp(path + len - 3, "/.."))) {
        refuse(visit, 400, "Bad Request");
        return;
    }
    if (!visit->head && strcmp(method, "GET")) {
        refuse(visit, 405, "Method Not Allowed");
        return;
    }
    if (path[len - 1] == '/')
        strcat(path, "index.html");
    struct stat about;
    int file = openat(root, path + 1, O_RDONLY);
    bool found = file >= 0 && fstat(file, &about) == 0 && S_ISREG(about.st_mode);
    if (found)
        head_of(visit, 200, "OK", content_type(path), about.st_size);
    else
        refuse(visit, 404, "Not Found");
    if (found && !visit->head)
        visit->file = file;
    else if (file >= 0)
        close(file);
}

/* Takes the next request out of `in`. False when it is not whole yet. */
static bool take_request(struct visit *visit)
{
    visit->in[visit->in_len] = 0;
    char *empty_line = strstr(visit->in, "\r\n\r\n");
    if (empty_line) {
        empty_line[2] = 0;
        respond(visit);
        visit->in_len -= (size_t)(empty_line + 4 - visit->in);
        memmove(visit->in, empty_line + 4, visit->in_len);
    } else if (visit->in_len == sizeof visit->in - 1) {
        visit->last = true;
        refuse(visit, 431, "Request Header Fields Too Large");
    }
    return empty_line || visit->last;
}

static bool serve(void *client)
{
    struct visit *visit = client;
    for (;;) {
        visit->client.writes = visit->sent < visit->len;
        if (visit->client.writes) {
            ssize_t sent = write(visit->client.fd, visit->out + visit->sent, visit->len - visit->sent);
            if (sent < 0)
                return errno == EAGAIN;
            visit->sent += (size_t)sent;
        } else if (visit->file >= 0) {
            ssize_t got = read(visit->file, visit->out, sizeof visit->out);
            if (got < 0)
                return false;
            if (got == 0) {
                close(visit->file);
                visit->file = -1;
            }
            visit->sent = 0;
            visit->len = (size_t)got;
        } else if (visit->last) {
            return false;
        } else if (!take_request(visit)) {
            ssize_t got = read(visit->client.fd, visit->in + visit->in_len, sizeof visit->in - 1 - visit->in_len);
            if (got <= 0)
                return got < 0 && errno == EAGAIN;
            visit->in_len += (size_t)got;
        }
    }
}

int main(int argc, char **argv)
{
    static const struct service service = {sizeof(struct visit), begin, serve, end};
    take_names(&argc, &argv);
    int control = listen_on(argument(argc, argv, 1, "0.0.0.0:80"), STREAM, 128, NONBLOCK);
    const char *folder = argument(argc, argv, 2, "/");
    root = open(folder, O_RDONLY | O_DIRECTORY);
    if (root < 0)
        die(folder, errno);
    serve_clients(&service, control, atol(argument(argc, argv, 3, "0")));
    return 0;
}
