/* A parent with 10 blocks of its own, a forked child with 20, which frees what it inherits, and a vforked one that executes this program
 * again, with 30. */
#define _GNU_SOURCE
#include "log.h"
#include <stdlib.h>
#include <sys/wait.h>

static void allocate(int count) {
    for (int block = 0; block < count; block++) if (!malloc(50)) _exit(3);
}

int main(int count, char **arguments) {
    if (count == 2) {
        allocate(30);
        return 0;
    }
    allocate(10);
    void *inherited = malloc(70);
    int status;
    pid_t child = fork();
    if (child == 0) {
        free(inherited);
        allocate(20);
        return 0;
    }
    if (waitpid(child, &status, 0) != child || status) return 4;
    child = vfork();
    if (child == 0) {
        execl("/proc/self/exe", arguments[0], "again", (char *)0);
        _exit(5);
    }
    if (waitpid(child, &status, 0) != child || status) return 6;
    free(inherited);
}
