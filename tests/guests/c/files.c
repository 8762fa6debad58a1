/* Writes, reads and lists in a preopened directory. Prints what it found; the exit code is 0 if it was as written. */
#include <dirent.h>
#include <sys/stat.h>

#include "common.h"

static int by_name(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void list(const char *folder)
{
    char *names[256];
    size_t count = 0;
    DIR *directory = opendir(folder);
    if (!directory)
        die(folder, errno);
    for (struct dirent *entry; count < 256 && (entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            names[count++] = strdup(entry->d_name);
    }
    closedir(directory);
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++)
        printf("%s\n", names[i]);
}

int main(int argc, char **argv)
{
    guest_name = argc > 0 ? argv[0] : guest_name;
    const char *folder = argument(argc, argv, 1, "/");
    const char *text = argument(argc, argv, 2, "written by a guest\n");
    char path[1024], back[4096] = {0};
    snprintf(path, sizeof path, "%s/guest.txt", folder);

    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        die(path, errno);
    write_all(fd, text, strlen(text));
    if (lseek(fd, 0, SEEK_SET) != 0)
        die("lseek", errno);
    size_t got = read_full(fd, back, sizeof back - 1);
    struct stat about;
    if (fstat(fd, &about) < 0)
        die("fstat", errno);
    close(fd);
    list(folder);
    printf("%s: %lld bytes\n", path, (long long)about.st_size);
    return got == strlen(text) && !memcmp(back, text, got) && (size_t)about.st_size == got ? 0 : 1;
}
