/* Every fsync and fdatasync takes FLUSH_US microseconds longer: what a disk takes on which a flush is not free.
   cc -shared -fPIC -o slow_flush.so slow_flush.c -ldl; LD_PRELOAD=slow_flush.so FLUSH_US=600 a-server */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static int flush(const char *name, int descriptor) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *wait = getenv("FLUSH_US");
    int result = real(descriptor);
    if (wait != NULL)
        usleep((useconds_t)atoi(wait));
    return result;
}

int fsync(int descriptor) { return flush("fsync", descriptor); }
int fdatasync(int descriptor) { return flush("fdatasync", descriptor); }
