/* Loads two libraries one after the other, which may come to lie at the same addresses. */
#include <dlfcn.h>
#include <stdlib.h>

int main(int count, char **arguments) {
    for (int library = 1; library < count; library++) {
        void *handle = dlopen(arguments[library], RTLD_NOW);
        if (!handle) return 3;
        void *(*entry)(void) = (void *(*)(void))dlsym(handle, "entry");
        if (!entry || !entry()) return 4;
        if (dlclose(handle)) return 5;
    }
}
