/* How large the caches of one core are: asked of the C library, then of the operating system, then known from
 * the core's name. The C library of Linux on Arm does not know; boards whose firmware does not tell the
 * kernel leave its folder empty. */
#include "conv_infer/cpu.h"

#include <stddef.h>
#include <stdio.h>

#if defined(__linux__)
#    include <unistd.h>
#elif defined(__APPLE__)
#    include <sys/sysctl.h>
#endif

#if defined(__linux__)
/* A whole number at the start of a file, in the unit that follows it ("32K"); 0 where there is none. */
static int64_t number_in(const char *folder, int index, const char *name) {
    char path[128];
    long long number = 0;
    char unit = 0;
    if (snprintf(path, sizeof path, "%s%d/%s", folder, index, name) >= (int)sizeof path)
        return 0;
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%lld%c", &number, &unit) < 1 || number < 0 || number > INT32_MAX)
        number = 0;
    fclose(file);
    return unit == 'K' ? (int64_t)number << 10 : unit == 'M' ? (int64_t)number << 20 : (int64_t)number;
}

/* 'D' for a data cache, 'U' for one that holds both, 'I' for instructions. */
static int type_of(const char *folder, int index) {
    char path[128];
    snprintf(path, sizeof path, "%s%d/type", folder, index);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    const int first = fgetc(file);
    fclose(file);
    return first;
}

static void ask_kernel(ci_cache *cache) {
    static const char folder[] = "/sys/devices/system/cpu/cpu0/cache/index";
    for (int index = 0; index < 8; index++) {
        const int64_t level = number_in(folder, index, "level"), size = number_in(folder, index, "size");
        if (size < 1 || type_of(folder, index) == 'I')
            continue;
        if (level == 1)
            cache->l1_data_bytes = size;
        else if (level == 2)
            cache->l2_bytes = size;
    }
}

#    if defined(__aarch64__)
/* Of Arm's own cores, as the boards that have no more to say build them. */
static void know_core(ci_cache *cache) {
    static const struct {
        unsigned part;
        int l1_kib, l2_kib;
    } cores[] = {
        {0xd03, 32, 512},  /* Cortex-A53: Raspberry Pi 3, Zero 2; the second level is shared by four cores */
        {0xd04, 32, 512},  /* Cortex-A35 */
        {0xd05, 32, 256},  /* Cortex-A55 */
        {0xd07, 32, 1024}, /* Cortex-A57 */
        {0xd08, 32, 1024}, /* Cortex-A72: Raspberry Pi 4, shared by four cores */
        {0xd0b, 64, 512},  /* Cortex-A76: Raspberry Pi 5, of each core */
        {0xd0c, 64, 1024}, /* Neoverse N1 */
    };
    unsigned long long identification = 0;
    FILE *file = fopen("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1", "r");
    if (!file)
        return;
    const int read = fscanf(file, "%llx", &identification);
    fclose(file);
    if (read != 1 || identification >> 24 != 0x41)
        return;
    for (size_t i = 0; i < sizeof cores / sizeof cores[0]; i++) {
        if ((identification >> 4 & 0xfff) == cores[i].part) {
            cache->l1_data_bytes = (int64_t)cores[i].l1_kib << 10;
            cache->l2_bytes = (int64_t)cores[i].l2_kib << 10;
        }
    }
}
#    endif

static ci_cache ask(void) {
    ci_cache cache = {0, 0};
#    if defined(_SC_LEVEL1_DCACHE_SIZE)
    const long l1 = sysconf(_SC_LEVEL1_DCACHE_SIZE), l2 = sysconf(_SC_LEVEL2_CACHE_SIZE);
    cache.l1_data_bytes = l1 > 0 ? l1 : 0;
    cache.l2_bytes = l2 > 0 ? l2 : 0;
#    endif
    if (!cache.l1_data_bytes || !cache.l2_bytes)
        ask_kernel(&cache);
#    if defined(__aarch64__)
    if (!cache.l1_data_bytes || !cache.l2_bytes)
        know_core(&cache);
#    endif
    return cache;
}
#elif defined(__APPLE__)
static int64_t system_number(const char *name) {
    int64_t number = 0;
    size_t size = sizeof number;
    return sysctlbyname(name, &number, &size, NULL, 0) == 0 && size == sizeof number ? number : 0;
}

static ci_cache ask(void) {
    /* Of the fast cores, where there are two kinds. */
    ci_cache cache = {system_number("hw.perflevel0.l1dcachesize"),
                      system_number("hw.perflevel0.l2cachesize")};
    if (!cache.l1_data_bytes)
        cache.l1_data_bytes = system_number("hw.l1dcachesize");
    if (!cache.l2_bytes)
        cache.l2_bytes = system_number("hw.l2cachesize");
    return cache;
}
#else
static ci_cache ask(void) {
    const ci_cache cache = {0, 0};
    return cache;
}
#endif

ci_cache ci_cache_sizes(void) {
    static ci_cache cached; /* a race writes the same values twice */
    if (!cached.l2_bytes) {
        ci_cache cache = ask();
        if (cache.l1_data_bytes < 1)
            cache.l1_data_bytes = 32 << 10;
        if (cache.l2_bytes < 1)
            cache.l2_bytes = 512 << 10;
        cached = cache;
    }
    return cached;
}
