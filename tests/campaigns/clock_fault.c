/* Shifts the wall clock of a process by the seconds that the file $CLOCK_FAULT holds, as a step of NTP does.
 *
 * LD_PRELOAD this library. The monotonic clocks, times of files and waits stay what they are.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void) {
    const char *file = getenv("CLOCK_FAULT");
    if (!file) return 0;
    int saved = errno;
    long seconds = 0;
    int descriptor = open(file, O_RDONLY | O_CLOEXEC);
    if (descriptor >= 0) {
        char text[32] = {0};
        if (read(descriptor, text, sizeof text - 1) > 0) seconds = strtol(text, NULL, 10);
        close(descriptor);
    }
    errno = saved;
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift();
    return result;
}

time_t time(time_t *where) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise)) return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}
