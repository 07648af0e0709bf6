/* May have no larger files than it is told, and, if it is told so, no more memory than it has, and goes on with that. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static void *volatile block;

/* No more bytes than that. */
static int limit(int what, rlim_t bytes) {
    struct rlimit limit = {bytes, bytes};
    return setrlimit(what, &limit);
}

int main(int count, char **arguments) {
    if (count < 2) return 2;
    free(malloc(100000));
    if (count > 2) {
        char pages[100] = "";
        int file = open("/proc/self/statm", O_RDONLY);
        if (read(file, pages, sizeof pages - 1) < 1 || close(file)) return 3;
        if (limit(RLIMIT_AS, strtoul(pages, NULL, 10) * 4096)) return 4;
    }
    if (limit(RLIMIT_FSIZE, strtoul(arguments[1], NULL, 10))) return 5;
    for (int i = 0; i < 100000; i++) {
        if (!(block = malloc(5))) return 6;
        free(block);
    }
}
