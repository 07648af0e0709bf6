/* Blocks of every kind of call that peers see, as many as the log says. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int main(int count, char **arguments) {
    (void)arguments;
    // With an argument, nothing: what a peer sees then is not the program's.
    if (count > 1) return 0;
    static void *kept[1000];
    for (int i = 0; i < 1000; i++) kept[i] = malloc(100 + i);
    for (int i = 0; i < 1000; i += 2) { free(kept[i]); kept[i] = 0; }
    for (int i = 0; i < 200; i++) { void *volatile p = calloc(i + 1, 16); free(p); }
    char *buffer = 0;
    for (int i = 1; i <= 100; i++) { buffer = realloc(buffer, i * 1000); buffer[0] = 1; }
    free(buffer);
    void *aligned;
    if (posix_memalign(&aligned, 64, 4096)) return 1;
    free(aligned);
    void *volatile other = aligned_alloc(256, 1024 * 256);
    free(other);
    void *page = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(page, 1, 1 << 20);
    munmap(page, 1 << 20);
    for (int i = 1; i < 1000; i += 4) { free(kept[i]); kept[i] = 0; }
    return 0;
}
