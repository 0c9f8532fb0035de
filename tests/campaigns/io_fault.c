/* Makes one call of a process fail with a chosen errno, like a disk that is full or a server of files that restarts.
 *
 * LD_PRELOAD this library. The call that fails is the one whose turn comes: the file $IO_FAULT_TURN holds a
 * number, each matching call takes one from it, and the call that takes the last fails. With $IO_FAULT_LAST=n the
 * n calls after it fail, too. Calls match if their path begins with $IO_FAULT_BELOW (write and fsync: the path
 * that the descriptor was opened with).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = dlsym(RTLD_NEXT, name)

static int real_open(const char *path, int flags) {
    REAL(int, "open", const char *, int, ...);
    return real(path, flags | O_CLOEXEC, 0600);
}

/* Takes a turn; nonzero if this call must fail. */
static int turn(void) {
    const char *file = getenv("IO_FAULT_TURN");
    if (!file) return 0;
    int saved = errno, fails = 0, descriptor = real_open(file, O_RDWR);
    if (descriptor < 0) { errno = saved; return 0; }
    flock(descriptor, LOCK_EX);
    char text[32] = {0};
    if (pread(descriptor, text, sizeof text - 1, 0) > 0) {
        long left = strtol(text, NULL, 10);
        const char *more = getenv("IO_FAULT_LAST");
        long last = more ? strtol(more, NULL, 10) : 0;
        fails = left <= 0 && left >= -last;
        REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
        int length = snprintf(text, sizeof text, "%-20ld", left - 1);
        if (real(descriptor, text, length, 0) != length) fails = 0;
    }
    close(descriptor);
    errno = saved;
    return fails;
}

static int below(const char *path) {
    const char *root = getenv("IO_FAULT_BELOW");
    if (!root || !path) return 0;
    char whole[PATH_MAX];
    if (path[0] != '/') {
        if (!getcwd(whole, sizeof whole)) return 0;
        strncat(whole, "/", sizeof whole - strlen(whole) - 1);
        strncat(whole, path, sizeof whole - strlen(whole) - 1);
        path = whole;
    }
    return strncmp(path, root, strlen(root)) == 0;
}

static int opened_below(int descriptor) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return below(path);
}

static int fault(int matches) {
    if (!matches || !turn()) return 0;
    errno = atoi(getenv("IO_FAULT_ERRNO"));
    return 1;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, #name, const char *, int, ...); \
        va_list list; va_start(list, flags); \
        mode_t mode = va_arg(list, mode_t); va_end(list); \
        return fault((flags & (O_WRONLY | O_RDWR | O_CREAT)) && below(path)) ? -1 : real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(int, #name, int, const char *, int, ...); \
        va_list list; va_start(list, flags); \
        mode_t mode = va_arg(list, mode_t); va_end(list); \
        return fault((flags & (O_WRONLY | O_RDWR | O_CREAT)) && below(path)) ? -1 : real(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int descriptor, const void *bytes, size_t count) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return fault(opened_below(descriptor)) ? -1 : real(descriptor, bytes, count);
}

int fsync(int descriptor) {
    REAL(int, "fsync", int);
    return fault(opened_below(descriptor)) ? -1 : real(descriptor);
}

#define TWO_PATHS(name) \
    int name(const char *from, const char *to) { \
        REAL(int, #name, const char *, const char *); \
        return fault(below(to)) ? -1 : real(from, to); \
    }
TWO_PATHS(rename)
TWO_PATHS(link)
TWO_PATHS(symlink)

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    return fault(below(path)) ? -1 : real(path, mode);
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    return fault(below(path)) ? -1 : real(path);
}
