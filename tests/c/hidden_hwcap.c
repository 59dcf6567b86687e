/* A system that says nothing of its processor, as some containers and sandboxes do: to be preloaded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/auxv.h>

unsigned long getauxval(unsigned long type) {
    unsigned long (*real)(unsigned long);
    if (type == AT_HWCAP || type == AT_HWCAP2)
        return 0;
    *(void **)&real = dlsym(RTLD_NEXT, "getauxval");
    return real(type);
}
