/* Blocks for the write lock of an index (F_SETLKW), and prints what became of each wait: process, thread, boot time in
 * microseconds when it asked and when it was back, and the outcome. A killed process is back when it was waited for. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int file;

static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return time.tv_sec * 1000000L + time.tv_nsec / 1000;
}

static int ask(int how, short type, long byte) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(file, how, &lock);
}

static void ignore(int number) { (void)number; }

/* Waits for the lock, for at most `patience` microseconds, and keeps it for `hold` microseconds. */
static pid_t waiter(useconds_t patience, useconds_t hold) {
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    struct sigaction action = {.sa_handler = ignore};
    sigaction(SIGALRM, &action, NULL);
    ask(F_SETLK, F_RDLCK, 125);
    long asked = now();
    if (patience)
        ualarm(patience, 0);
    int answer = ask(F_SETLKW, F_WRLCK, 120);
    printf("%d %d %ld %ld %s\n", getpid(), gettid(), asked, now(), answer ? "interrupted" : "granted");
    if (!answer) {
        usleep(hold);
        ask(F_SETLK, F_UNLCK, 120);
    }
    ask(F_SETLK, F_UNLCK, 125);
    fflush(stdout);
    _exit(0);
}

static void hold(void) { ask(F_SETLK, F_RDLCK, 124); ask(F_SETLK, F_WRLCK, 120); }

static void release(void) { ask(F_SETLK, F_UNLCK, 120); ask(F_SETLK, F_UNLCK, 124); }

int main(int count, char **arguments) {
    file = open(count > 1 ? arguments[1] : "a.db-shm", O_RDWR | O_CREAT, 0600);
    hold();
    printf("holder %d\n", getpid());
    fflush(stdout);
    /* One gets the lock, one is interrupted, and one is killed. */
    waiter(0, 2000);
    waiter(150000, 0);
    long asked = now();
    pid_t killed = waiter(0, 0);
    usleep(300000);
    kill(killed, SIGKILL);
    waitpid(killed, NULL, 0);
    printf("%d %d %ld %ld killed\n", killed, killed, asked, now());
    fflush(stdout);
    usleep(100000);
    release();
    while (wait(NULL) > 0) {}
    /* One of two is faster, and the other one blocks again. */
    hold();
    waiter(0, 50000);
    waiter(0, 50000);
    usleep(200000);
    release();
    while (wait(NULL) > 0) {}
    return 0;
}
