// Preloaded into a process: notes each write to the database files and each sync, so that a test can
// later take back what was not synced. One record a call, appended to the file in POWER_LOSS_JOURNAL:
//   kind ('w' or 's'), path length, position, size before, length | path | old bytes | new bytes
// For a sync "position" is the journal's length when the sync began: writes before it are durable.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct record {
    char kind;
    char padding[3];
    uint32_t path_length;
    int64_t position, size_before, length;
};

static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int journal = -1;

__attribute__((constructor)) static void start(void) {
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    const char *path = getenv("POWER_LOSS_JOURNAL");
    if (path) journal = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

// Fill in the path of a database file or its write-ahead log; the shared memory is never durable.
static int watched(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = journal < 0 ? -1 : readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    const char *name = strrchr(path, '/');
    return name && (!strcmp(name, "/jobfleet.db") || !strcmp(name, "/jobfleet.db-wal"));
}

static void note(struct record head, const char *path, const void *old, const void *new) {
    size_t path_length = head.path_length = strlen(path), length = head.kind == 'w' ? head.length : 0;
    size_t whole = sizeof head + path_length + 2 * length;
    char *text = malloc(whole), *end = mempcpy(text, &head, sizeof head);
    end = mempcpy(end, path, path_length);
    if (length) end = mempcpy(mempcpy(end, old, length), new, length);
    if (write(journal, text, whole) != (ssize_t)whole) abort();
    free(text);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t position) {
    char path[PATH_MAX];
    if (watched(fd, path)) {
        struct stat status;
        fstat(fd, &status);
        char *old = calloc(1, length ? length : 1);
        // Not through a descriptor of its own: closing that one would drop SQLite's locks.
        if (pread(fd, old, length, position) < 0) abort();
        struct record head = {.kind = 'w', .position = position, .size_before = status.st_size, .length = length};
        note(head, path, old, data);
        free(old);
    }
    return real_pwrite(fd, data, length, position);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t position) {
    return pwrite64(fd, data, length, position);
}

static int synced(int fd, int (*real)(int)) {
    char path[PATH_MAX];
    if (!watched(fd, path)) return real(fd);
    struct stat status;
    fstat(journal, &status);
    int answer = real(fd);
    struct record head = {.kind = 's', .position = status.st_size};
    // A disk that lies confirms a sync and does nothing: with it the test must find losses.
    if (answer == 0 && !getenv("POWER_LOSS_LYING_DISK")) note(head, path, NULL, NULL);
    return answer;
}

int fsync(int fd) { return synced(fd, real_fsync); }
int fdatasync(int fd) { return synced(fd, real_fdatasync); }
