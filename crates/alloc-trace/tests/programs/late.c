// Asks for memory only after its child has.
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

extern char **environ;

int main(void) {
    char *arguments[] = {"ls", "/", NULL};
    pid_t child;
    if (posix_spawnp(&child, arguments[0], NULL, NULL, arguments, environ) != 0)
        return 1;
    waitpid(child, NULL, 0);
    free(malloc(100));
    return 0;
}
