/* Records what a process does to the files below one folder, in the order in which it does it.
 *
 * Loaded before libc (LD_PRELOAD) into a process of the test that writes a load. It is C, and not Rust, because it takes the
 * place of libc's functions, which no safe Rust can, and `unsafe` is forbidden in this workspace. The test compiles it with `cc`.
 *
 *   HOLDFAST_RECORD_BELOW  the folder, absolute and without symbolic links
 *   HOLDFAST_RECORD_TO     the file that the record is appended to; it must lie elsewhere
 *   HOLDFAST_RECORD_LIMIT  after so many events the process ends, as if it had been killed; 0: never
 *
 * Each change is made and recorded under one lock: the record's order is the order of the changes, and a process that ends at
 * its limit has made what is recorded and nothing else. A sync is not made under the lock: it is two events, its begin and its
 * end, and only what was written before the begin is known to be durable after the end.
 *
 * An event is a head of 24 bytes (see `struct head`) and `length` bytes; record.rs beside this file reads it. A call that changes
 * a file in a way that is not known here ends the process with a message, and so does a record that cannot be written.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { OPENED = 1, WRITTEN, LENGTH_SET, SYNC_BEGUN, SYNC_ENDED, RANGE_FLUSHED, FOLDER_MADE, RENAMED, REMOVED };
enum opened { CREATED = 1, EMPTIED = 2 };

struct head {
    uint32_t kind;
    uint32_t handle;  /* which opening of a file it is about; 0: it is about a path */
    uint64_t offset;  /* where, or the new length, or the number of the sync, or how it was opened */
    uint64_t length;  /* of what follows: bytes written, or a path, or two with a zero between them */
};

#define FILES 65536
static uint32_t handles[FILES];
static uint32_t last_handle;
static uint64_t last_sync;
static uint64_t events, limit;
static char root[4096];
static size_t root_length;
static int record = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void fail(const char *what) {
    dprintf(2, "record.c: %s (errno %d)\n", what, errno);
    _exit(99);
}

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) fail(name);
    return found;
}

__attribute__((constructor)) static void begin(void) {
    const char *below = getenv("HOLDFAST_RECORD_BELOW"), *to = getenv("HOLDFAST_RECORD_TO"), *most = getenv("HOLDFAST_RECORD_LIMIT");
    if (!below || !to || !most || strlen(below) >= sizeof root) fail("HOLDFAST_RECORD_* are not set");
    limit = strtoull(most, NULL, 10);
    record = (int)syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (record < 0) fail("the record does not open");
    strcpy(root, below);
    root_length = strlen(root);
}

/* The part of a path below the folder, or NULL. */
static const char *below(const char *path) {
    if (!root_length || strncmp(path, root, root_length) != 0) return NULL;
    if (path[root_length] == '\0') return path + root_length;
    return path[root_length] == '/' ? path + root_length + 1 : NULL;
}

static uint32_t handle_of(int fd) { return fd >= 0 && fd < FILES ? handles[fd] : 0; }

/* To be called under the lock. */
static void note(enum kind kind, uint32_t handle, uint64_t offset, const void *bytes, size_t length) {
    int before = errno;
    struct head head = {kind, handle, offset, length};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)bytes, length}};
    int at = 0;
    while (at < 2) {
        ssize_t wrote = syscall(SYS_writev, record, parts + at, 2 - at);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) fail("the record takes nothing");
        while (at < 2 && (size_t)wrote >= parts[at].iov_len) wrote -= parts[at++].iov_len;
        if (at < 2) {
            parts[at].iov_base = (char *)parts[at].iov_base + wrote;
            parts[at].iov_len -= wrote;
        }
    }
    if (++events == limit) _exit(0);
    errno = before;
}

static int opened(int at, const char *path, int flags, mode_t mode) {
    const char *name = at == AT_FDCWD || path[0] == '/' ? below(path) : NULL;
    pthread_mutex_lock(&lock);
    struct stat before;
    int existed = name && syscall(SYS_newfstatat, AT_FDCWD, path, &before, 0) == 0;
    int fd = (int)syscall(SYS_openat, at, path, flags | O_LARGEFILE, mode);
    if (fd >= 0) {
        if (fd >= FILES) fail("too many files are open");
        handles[fd] = name ? ++last_handle : 0;
        int created = (flags & O_CREAT) && !existed, emptied = (flags & O_TRUNC) && existed;
        if (name) note(OPENED, handles[fd], (created ? CREATED : 0) | (emptied ? EMPTIED : 0), name, strlen(name));
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

static mode_t mode_of(int flags, va_list rest) {
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}

#define OPEN(name)                                  \
    int name(const char *path, int flags, ...) {    \
        va_list rest;                               \
        va_start(rest, flags);                      \
        mode_t mode = mode_of(flags, rest);         \
        va_end(rest);                               \
        return opened(AT_FDCWD, path, flags, mode); \
    }
#define OPENAT(name)                                     \
    int name(int at, const char *path, int flags, ...) { \
        va_list rest;                                    \
        va_start(rest, flags);                           \
        mode_t mode = mode_of(flags, rest);              \
        va_end(rest);                                    \
        return opened(at, path, flags, mode);            \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

int close(int fd) {
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < FILES) handles[fd] = 0;
    int done = (int)syscall(SYS_close, fd);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    pthread_mutex_lock(&lock);
    ssize_t wrote = syscall(SYS_write, fd, bytes, length);
    uint32_t handle = handle_of(fd);
    /* The position after it, less what was written: right for files that are appended to, too. */
    if (wrote > 0 && handle) note(WRITTEN, handle, (uint64_t)(syscall(SYS_lseek, fd, 0, SEEK_CUR) - wrote), bytes, (size_t)wrote);
    pthread_mutex_unlock(&lock);
    return wrote;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    pthread_mutex_lock(&lock);
    ssize_t wrote = syscall(SYS_pwrite64, fd, bytes, length, offset);
    if (wrote > 0 && handle_of(fd)) note(WRITTEN, handle_of(fd), (uint64_t)offset, bytes, (size_t)wrote);
    pthread_mutex_unlock(&lock);
    return wrote;
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite64(fd, bytes, length, offset); }

int ftruncate64(int fd, off64_t length) {
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_ftruncate, fd, length);
    if (done == 0 && handle_of(fd)) note(LENGTH_SET, handle_of(fd), (uint64_t)length, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int synced(int fd, long call) {
    pthread_mutex_lock(&lock);
    uint32_t handle = handle_of(fd);
    uint64_t sync = handle ? ++last_sync : 0;
    if (handle) note(SYNC_BEGUN, handle, sync, NULL, 0);
    pthread_mutex_unlock(&lock);
    int done = (int)syscall(call, fd);
    pthread_mutex_lock(&lock);
    if (handle && done == 0) note(SYNC_ENDED, handle, sync, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int sync_file_range(int fd, off64_t offset, off64_t length, unsigned int flags) {
    int done = (int)syscall(SYS_sync_file_range, fd, offset, length, flags);
    pthread_mutex_lock(&lock);
    if (handle_of(fd)) note(RANGE_FLUSHED, handle_of(fd), (uint64_t)offset, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int mkdir(const char *path, mode_t mode) {
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    const char *name = below(path);
    if (done == 0 && name) note(FOLDER_MADE, 0, 0, name, strlen(name));
    pthread_mutex_unlock(&lock);
    return done;
}

int rename(const char *from, const char *to) {
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    const char *old = below(from), *new = below(to);
    if (done == 0 && (old || new)) {
        if (!old || !new) fail("a name was moved over the folder's edge");
        char both[8192];
        size_t first = strlen(old), second = strlen(new);
        if (first + second + 1 > sizeof both) fail("a path is too long");
        memcpy(both, old, first + 1);
        memcpy(both + first + 1, new, second);
        note(RENAMED, 0, 0, both, first + second + 1);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

static int removed(const char *path, int flags) {
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_unlinkat, AT_FDCWD, path, flags);
    const char *name = below(path);
    if (done == 0 && name) note(REMOVED, 0, 0, name, strlen(name));
    pthread_mutex_unlock(&lock);
    return done;
}
int unlink(const char *path) { return removed(path, 0); }
int rmdir(const char *path) { return removed(path, AT_REMOVEDIR); }

/* What neither sled nor Holdfast calls on a file today. */
static void unknown(int fd, const char *name) {
    if (handle_of(fd)) fail(name);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    unknown(fd, "writev");
    return syscall(SYS_writev, fd, parts, count);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    unknown(fd, "pwritev");
    return REAL(pwritev)(fd, parts, count, offset);
}
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t length, unsigned int flags) {
    unknown(out, "copy_file_range");
    return syscall(SYS_copy_file_range, in, from, out, to, length, flags);
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    unknown(fd, "fallocate");
    return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}
int fallocate(int fd, int mode, off_t offset, off_t length) { return fallocate64(fd, mode, offset, length); }
int posix_fallocate64(int fd, off64_t offset, off64_t length) {
    unknown(fd, "posix_fallocate");
    return REAL(posix_fallocate64)(fd, offset, length);
}
int posix_fallocate(int fd, off_t offset, off_t length) { return posix_fallocate64(fd, offset, length); }
/* A copy of a descriptor is the same opening of the file. */
static int copied(int fd, int copy) {
    pthread_mutex_lock(&lock);
    if (copy >= FILES) fail("too many files are open");
    if (copy >= 0) handles[copy] = handle_of(fd);
    pthread_mutex_unlock(&lock);
    return copy;
}
int dup(int fd) { return copied(fd, (int)syscall(SYS_dup, fd)); }
int dup2(int fd, int copy) { return copied(fd, REAL(dup2)(fd, copy)); }
int dup3(int fd, int copy, int flags) { return copied(fd, (int)syscall(SYS_dup3, fd, copy, flags)); }
int fcntl64(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    int done = (int)syscall(SYS_fcntl, fd, command, argument);
    return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? copied(fd, done) : done;
}
int fcntl(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return fcntl64(fd, command, argument);
}

void *mmap64(void *near, size_t length, int protection, int flags, int fd, off64_t offset) {
    if ((protection & PROT_WRITE) && (flags & MAP_SHARED)) unknown(fd, "mmap");
    return (void *)syscall(SYS_mmap, near, length, protection, flags, fd, offset);
}
void *mmap(void *near, size_t length, int protection, int flags, int fd, off_t offset) {
    return mmap64(near, length, protection, flags, fd, offset);
}
