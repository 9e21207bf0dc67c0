/* Records what a process writes, so that a power cut can be played at any moment afterwards.
 *
 * Preloaded into an agent (LD_PRELOAD). For what is below CUT_DIR each file and directory that is made, each write,
 * truncation, sync, rename and removal goes to the log CUT_LOG, in the order in which it was done; so does what is sent to a
 * socket, which holds the acknowledgements. The log is played by the tests in `power_cut.rs` and `synced_disk.rs`.
 *
 * A record: kind (1 byte), length of the path (2), offset (8), length of the data (4), path, data. Native byte order.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;

static void record(char kind, const char *path, int64_t offset, const void *data, uint32_t length) {
    static char head[15];
    uint16_t path_length = (uint16_t)strlen(path);
    if (log_fd < 0) {
        const char *name = getenv("CUT_LOG");
        if (!name) return;
        log_fd = REAL(open64)(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    head[0] = kind;
    memcpy(head + 1, &path_length, 2);
    memcpy(head + 3, &offset, 8);
    memcpy(head + 11, &length, 4);
    struct iovec parts[3] = {{head, sizeof head}, {(void *)path, path_length}, {(void *)data, length}};
    if (REAL(writev)(log_fd, parts, 3) < 0) abort();
}

/* The path of a file below CUT_DIR, "" of a socket, NULL of anything else. */
static const char *path_of(int fd, char *buffer) {
    char link[64];
    const char *dir = getenv("CUT_DIR");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, buffer, PATH_MAX - 1);
    if (!dir || length < 0) return NULL;
    buffer[length] = 0;
    if (!strncmp(buffer, "socket:", 7)) return "";
    return strncmp(buffer, dir, strlen(dir)) ? NULL : buffer;
}

/* Does a call and records it as one, so that the log has the order of the disk. */
#define RECORDED(type, call, fd, kind, offset, data, length)                                                           \
    char buffer[PATH_MAX];                                                                                             \
    const char *path = path_of(fd, buffer);                                                                            \
    if (!path) return call;                                                                                            \
    pthread_mutex_lock(&lock);                                                                                         \
    type result = call;                                                                                                \
    if (result >= 0) record(*path ? kind : 'A', path, offset, data, (uint32_t)(length));                               \
    pthread_mutex_unlock(&lock);                                                                                       \
    return result;

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    RECORDED(ssize_t, REAL(pwrite64)(fd, data, length, offset), fd, 'W', offset, data, result)
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    RECORDED(ssize_t, REAL(pwrite)(fd, data, length, offset), fd, 'W', offset, data, result)
}
ssize_t write(int fd, const void *data, size_t length) {
    off64_t at = lseek64(fd, 0, SEEK_CUR);
    RECORDED(ssize_t, REAL(write)(fd, data, length), fd, 'W', at, data, result)
}
ssize_t send(int fd, const void *data, size_t length, int flags) {
    RECORDED(ssize_t, REAL(send)(fd, data, length, flags), fd, 'A', 0, data, result)
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    static char joined[1 << 16];
    char buffer[PATH_MAX];
    const char *path = path_of(fd, buffer);
    if (!path || *path) return REAL(writev)(fd, parts, count);
    pthread_mutex_lock(&lock);
    ssize_t result = REAL(writev)(fd, parts, count);
    size_t length = 0;
    for (int index = 0; index < count && length + parts[index].iov_len < sizeof joined; index++) {
        memcpy(joined + length, parts[index].iov_base, parts[index].iov_len);
        length += parts[index].iov_len;
    }
    if (result > 0) record('A', "", 0, joined, (uint32_t)length);
    pthread_mutex_unlock(&lock);
    return result;
}
int ftruncate64(int fd, off64_t length) {
    RECORDED(int, REAL(ftruncate64)(fd, length), fd, 'T', length, "", 0)
}
int ftruncate(int fd, off_t length) {
    RECORDED(int, REAL(ftruncate)(fd, length), fd, 'T', length, "", 0)
}
int fsync(int fd) { RECORDED(int, REAL(fsync)(fd), fd, 'S', 0, "", 0) }
int fdatasync(int fd) { RECORDED(int, REAL(fdatasync)(fd), fd, 'S', 0, "", 0) }

/* The path of a name in a directory, if it is below CUT_DIR, else NULL. */
static const char *path_at(int dir_fd, const char *name, char *buffer) {
    char link[64];
    const char *dir = getenv("CUT_DIR");
    if (!dir) return NULL;
    if (*name == '/') {
        snprintf(buffer, PATH_MAX, "%s", name);
    } else {
        if (dir_fd == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", dir_fd);
        ssize_t length = readlink(link, buffer, PATH_MAX - 1);
        if (length < 0) return NULL;
        snprintf(buffer + length, PATH_MAX - (size_t)length, "/%s", name);
    }
    return strncmp(buffer, dir, strlen(dir)) ? NULL : buffer;
}

/* Opens, and records a file that was made and one that was emptied. */
#define OPENED(call, dir_fd, name)                                                                                     \
    va_list rest;                                                                                                      \
    va_start(rest, flags);                                                                                             \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                            \
    va_end(rest);                                                                                                      \
    char buffer[PATH_MAX];                                                                                             \
    struct stat found;                                                                                                 \
    const char *path = flags & (O_CREAT | O_TRUNC) ? path_at(dir_fd, name, buffer) : NULL;                             \
    if (!path) return call;                                                                                            \
    pthread_mutex_lock(&lock);                                                                                         \
    int was_there = lstat(path, &found) == 0;                                                                          \
    int result = call;                                                                                                 \
    if (result >= 0 && !was_there) record('C', path, 0, "", 0);                                                        \
    if (result >= 0 && was_there && flags & O_TRUNC) record('T', path, 0, "", 0);                                      \
    pthread_mutex_unlock(&lock);                                                                                       \
    return result;

int open(const char *name, int flags, ...) { OPENED(REAL(open)(name, flags, mode), AT_FDCWD, name) }
int open64(const char *name, int flags, ...) { OPENED(REAL(open64)(name, flags, mode), AT_FDCWD, name) }
int openat(int dir_fd, const char *name, int flags, ...) {
    OPENED(REAL(openat)(dir_fd, name, flags, mode), dir_fd, name)
}
int openat64(int dir_fd, const char *name, int flags, ...) {
    OPENED(REAL(openat64)(dir_fd, name, flags, mode), dir_fd, name)
}

/* Does a call upon a name and records it as one. */
#define NAMED(call, dir_fd, name, kind, data)                                                                          \
    char buffer[PATH_MAX];                                                                                             \
    const char *path = path_at(dir_fd, name, buffer);                                                                  \
    if (!path) return call;                                                                                            \
    pthread_mutex_lock(&lock);                                                                                         \
    int result = call;                                                                                                 \
    if (result == 0) record(kind, path, 0, data, (uint32_t)strlen(data));                                              \
    pthread_mutex_unlock(&lock);                                                                                       \
    return result;

int mkdir(const char *name, mode_t mode) { NAMED(REAL(mkdir)(name, mode), AT_FDCWD, name, 'D', "") }
int mkdirat(int dir_fd, const char *name, mode_t mode) { NAMED(REAL(mkdirat)(dir_fd, name, mode), dir_fd, name, 'D', "") }
int unlinkat(int dir_fd, const char *name, int flags) {
    NAMED(REAL(unlinkat)(dir_fd, name, flags), dir_fd, name, 'U', "")
}
int renameat(int from_fd, const char *from, int to_fd, const char *to) {
    char to_buffer[PATH_MAX];
    const char *to_path = path_at(to_fd, to, to_buffer);
    if (!to_path) return REAL(renameat)(from_fd, from, to_fd, to);
    NAMED(REAL(renameat)(from_fd, from, to_fd, to), from_fd, from, 'R', to_path)
}
int rename(const char *from, const char *to) {
    pthread_mutex_lock(&lock);
    int result = REAL(rename)(from, to);
    if (result == 0) record('R', from, 0, to, (uint32_t)strlen(to));
    pthread_mutex_unlock(&lock);
    return result;
}
int unlink(const char *path) {
    pthread_mutex_lock(&lock);
    int result = REAL(unlink)(path);
    if (result == 0) record('U', path, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}
