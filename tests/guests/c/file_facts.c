/*
 * Tells all that a guest can learn of a directory besides the contents of its files: the order of its entries, inodes,
 * sizes, links and times; below it likewise. What is neither a file nor a directory it tries to open, and tells how that
 * went. Then "now" becomes the time of every file; with "remove" it deletes each entry as soon as it has read it.
 */
#include <dirent.h>
#include <sys/stat.h>

#include <wasi/api.h>

#include "common.h"

static const char *top;

static const char *opened(const char *path, int how)
{
    int fd = open(path, how);
    if (fd < 0)
        return strerror(errno);
    close(fd);
    return "opened";
}

/* The first directory is descriptor 3. The C library's utimensat knows another "now" than its header has. */
static const char *touched(const char *path)
{
    const char *below = path + strlen(top);
    __wasi_fstflags_t now = __WASI_FSTFLAGS_ATIM_NOW | __WASI_FSTFLAGS_MTIM_NOW;
    int error = __wasi_path_filestat_set_times(3, 0, below + strspn(below, "/"), 0, 0, now);
    return error ? strerror(error) : "set";
}

static void tell(const char *path, const char *name)
{
    struct stat about;
    if (stat(path, &about) < 0) {
        printf("%s: stat: %s\n", path, strerror(errno));
        return;
    }
    printf("%s: dev %llu ino %llu mode %o nlink %llu size %lld times %lld %lld %lld\n", name,
           (unsigned long long)about.st_dev, (unsigned long long)about.st_ino, about.st_mode & S_IFMT,
           (unsigned long long)about.st_nlink, (long long)about.st_size, (long long)about.st_atim.tv_sec,
           (long long)about.st_mtim.tv_sec, (long long)about.st_ctim.tv_sec);
    if (S_ISREG(about.st_mode) || S_ISDIR(about.st_mode))
        return;
    printf("%s: to read: %s\n", path, opened(path, O_RDONLY));
    printf("%s: to write: %s\n", path, opened(path, O_WRONLY));
    printf("%s: times: %s\n", path, touched(path));
}

static void walk(const char *folder, bool removes)
{
    DIR *directory = opendir(folder);
    if (!directory)
        die(folder, errno);
    errno = 0;
    for (struct dirent *entry; (entry = readdir(directory)); errno = 0) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        printf("%s: type %d ino %llu\n", entry->d_name, entry->d_type, (unsigned long long)entry->d_ino);
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        tell(path, entry->d_name);
        if (entry->d_type == DT_DIR)
            walk(path, removes);
        if (removes && (entry->d_type == DT_DIR ? rmdir(path) : unlink(path)) < 0)
            die(path, errno);
        if (!removes && entry->d_type == DT_REG)
            printf("%s: times: %s\n", path, touched(path));
    }
    if (errno)
        printf("%s: readdir: %s\n", folder, strerror(errno));
    closedir(directory);
}

int main(int argc, char **argv)
{
    guest_name = argc > 0 ? argv[0] : guest_name;
    top = argument(argc, argv, 1, "/");
    tell(top, ".");
    walk(top, argc > 2 && !strcmp(argv[2], "remove"));
    return 0;
}
