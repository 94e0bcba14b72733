/* Takes, refuses and loses locks in the order of STEPS, with the requests that SQLite makes, and prints what the kernel
 * answered. Each step prints: process, thread, boot time before and after it in microseconds, file, request, first and
 * last byte, answer. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WRITER, VICTIM, READER, ACTORS };
enum { DATABASE, INDEX, OTHER, FILES };
/* Beside F_RDLCK, F_WRLCK and F_UNLCK. */
enum { QUERY = 10, REOPEN, KILL };

#define PENDING 0x40000000L
#define RESERVED (PENDING + 1)
#define SHARED (PENDING + 2)

static const char *const FILE_NAMES[FILES] = {"a.db", "a.db-shm", "other"};
/* A program may give itself any name. */
static const char *const ACTOR_NAMES[ACTORS] = {"writer", "x [001] -7: b", "reader"};

struct step { int actor, file, request; long first, length; int is_pause; };

static const struct step STEPS[] = {
    /* Each opens the database. */
    {WRITER, DATABASE, F_RDLCK, SHARED, 510, 0},
    {WRITER, INDEX, F_WRLCK, 128, 1, 0},
    {WRITER, INDEX, F_RDLCK, 128, 1, 0},
    {VICTIM, DATABASE, F_RDLCK, SHARED, 510, 0},
    {VICTIM, INDEX, F_RDLCK, 128, 1, 0},
    {READER, DATABASE, F_RDLCK, SHARED, 510, 0},
    {READER, INDEX, F_RDLCK, 128, 1, 0},
    /* A writer is refused three times, and writes after that. */
    {WRITER, INDEX, F_RDLCK, 124, 1, 0},
    {WRITER, INDEX, F_WRLCK, 120, 1, 0},
    {VICTIM, INDEX, F_RDLCK, 125, 1, 0},
    {VICTIM, INDEX, F_WRLCK, 120, 1, 0},
    {VICTIM, INDEX, F_UNLCK, 125, 1, 0},
    {VICTIM, INDEX, F_RDLCK, 125, 1, 1},
    {VICTIM, INDEX, F_WRLCK, 120, 1, 0},
    {VICTIM, INDEX, F_UNLCK, 125, 1, 0},
    {VICTIM, INDEX, F_RDLCK, 125, 1, 1},
    {VICTIM, INDEX, F_WRLCK, 120, 1, 0},
    {VICTIM, INDEX, F_UNLCK, 125, 1, 0},
    {READER, INDEX, QUERY, 120, 1, 0},
    {WRITER, INDEX, F_UNLCK, 120, 1, 0},
    {VICTIM, INDEX, F_RDLCK, 125, 1, 0},
    {VICTIM, INDEX, F_WRLCK, 120, 1, 0},
    {WRITER, INDEX, F_UNLCK, 124, 1, 0},
    {VICTIM, INDEX, F_UNLCK, 120, 1, 0},
    {VICTIM, INDEX, F_UNLCK, 125, 1, 0},
    /* Recovery locks three bytes at once. */
    {WRITER, INDEX, F_WRLCK, 120, 3, 0},
    {VICTIM, INDEX, F_WRLCK, 121, 1, 0},
    {READER, INDEX, F_RDLCK, 122, 1, 0},
    {WRITER, INDEX, F_UNLCK, 121, 2, 0},
    {WRITER, INDEX, F_UNLCK, 120, 1, 0},
    /* A rollback journal: RESERVED is taken alone and released with PENDING. */
    {WRITER, DATABASE, F_WRLCK, RESERVED, 1, 0},
    {VICTIM, DATABASE, F_WRLCK, RESERVED, 1, 0},
    {WRITER, DATABASE, F_UNLCK, PENDING, 2, 0},
    /* Bytes and files that are not SQLite's. */
    {WRITER, INDEX, F_WRLCK, 0, 64, 0},
    {WRITER, OTHER, F_WRLCK, 120, 1, 0},
    /* A read that becomes a write is refused once. */
    {WRITER, INDEX, F_WRLCK, 120, 1, 0},
    {VICTIM, INDEX, F_RDLCK, 125, 1, 0},
    {VICTIM, INDEX, F_WRLCK, 120, 1, 1},
    {VICTIM, INDEX, F_UNLCK, 125, 1, 0},
    /* A process loses its locks when it closes another descriptor of the file. */
    {WRITER, INDEX, REOPEN, 0, 0, 0},
    {VICTIM, INDEX, F_WRLCK, 120, 1, 0},
    /* One without a lock loses nothing. */
    {READER, DATABASE, F_UNLCK, 0, 0, 0},
    {READER, DATABASE, REOPEN, 0, 0, 0},
    /* A killed process releases its locks. */
    {READER, INDEX, F_RDLCK, 126, 1, 0},
    {READER, INDEX, F_WRLCK, 120, 1, 0},
    {READER, INDEX, F_UNLCK, 126, 1, 0},
    {VICTIM, INDEX, KILL, 0, 0, 0},
    {READER, INDEX, F_RDLCK, 126, 1, 0},
    {READER, INDEX, F_WRLCK, 120, 1, 0},
    {READER, INDEX, F_UNLCK, 0, 0, 0},
};

struct answer { long before, after; int thread, error; };
struct actor { pid_t pid; int to[2], from[2]; };

static int files[FILES];
static struct actor actors[ACTORS];

static void check(int is_right, const char *what) {
    if (!is_right) {
        perror(what);
        exit(1);
    }
}

static long micros(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

static int carry_out(const struct step *step) {
    struct flock lock = {.l_type = step->request, .l_whence = SEEK_SET, .l_start = step->first, .l_len = step->length};
    if (step->request == REOPEN)
        return close(open(FILE_NAMES[step->file], O_RDWR));
    if (step->request != QUERY)
        return fcntl(files[step->file], F_SETLK, &lock);
    lock.l_type = F_WRLCK;
    return fcntl(files[step->file], F_GETLK, &lock);
}

/* In a thread of its own, whose number differs from that of the process. */
static void *serve(void *data) {
    struct actor *actor = data;
    int number;
    prctl(PR_SET_NAME, ACTOR_NAMES[actor - actors]);
    while (read(actor->to[0], &number, sizeof number) == sizeof number) {
        struct answer answer = {.before = micros(), .thread = gettid()};
        answer.error = carry_out(&STEPS[number]) == 0 ? 0 : errno;
        answer.after = micros();
        check(write(actor->from[1], &answer, sizeof answer) == sizeof answer, "answer");
    }
    return NULL;
}

static void start(struct actor *actor) {
    check(pipe2(actor->to, O_CLOEXEC) == 0 && pipe2(actor->from, O_CLOEXEC) == 0, "pipe");
    actor->pid = fork();
    check(actor->pid >= 0, "fork");
    if (actor->pid > 0) {
        close(actor->to[0]);
        close(actor->from[1]);
        return;
    }
    /* So that each ends with the parent: no write end of a pipe stays open in a sibling. */
    for (struct actor *other = actors; other <= actor; other++)
        close(other->to[1]);
    pthread_t thread;
    for (int file = 0; file < FILES; file++)
        check((files[file] = open(FILE_NAMES[file], O_RDWR | O_CREAT, 0644)) >= 0, FILE_NAMES[file]);
    check(pthread_create(&thread, NULL, serve, actor) == 0, "thread");
    pthread_join(thread, NULL);
    /* The locks that are left go with the process. */
    _exit(0);
}

static const char *name_of(int request) {
    switch (request) {
    case F_RDLCK: return "F_RDLCK";
    case F_WRLCK: return "F_WRLCK";
    case F_UNLCK: return "F_UNLCK";
    case QUERY: return "query";
    case REOPEN: return "close";
    default: return "kill";
    }
}

int main(void) {
    for (int actor = 0; actor < ACTORS; actor++)
        start(&actors[actor]);
    for (int number = 0; number < (int)(sizeof STEPS / sizeof *STEPS); number++) {
        const struct step *step = &STEPS[number];
        struct actor *actor = &actors[step->actor];
        struct answer answer = {.thread = 0};
        if (step->is_pause)
            usleep(2000);
        if (step->request == KILL) {
            answer.before = micros();
            check(kill(actor->pid, SIGKILL) == 0, "kill");
            check(waitpid(actor->pid, NULL, 0) == actor->pid, "wait");
            answer.after = micros();
        } else {
            check(write(actor->to[1], &number, sizeof number) == sizeof number, "ask");
            check(read(actor->from[0], &answer, sizeof answer) == sizeof answer, "hear");
        }
        printf("%d %d %ld %ld %s %s %ld %ld %s\n", actor->pid, answer.thread, answer.before, answer.after,
               FILE_NAMES[step->file], name_of(step->request), step->first,
               step->length == 0 ? 0x7fffffffffffffffL : step->first + step->length - 1,
               answer.error == 0 ? "granted" : answer.error == EAGAIN ? "refused" : strerror(answer.error));
    }
    for (int actor = 0; actor < ACTORS; actor++)
        close(actors[actor].to[1]);
    while (wait(NULL) > 0)
        ;
    return 0;
}
