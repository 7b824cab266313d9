/* A QEMU plugin that gives a machine another board's memory, and counts what runs.
 *
 * Arguments: board=FILE (see read_board), memory=FILE (the contents of all memories) and shared=FILE (struct shared).
 * QEMU's standard input is a pipe of its parent process. If the parent ends, the pipe and QEMU end, too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "parts.h"

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int qemu_plugin_version;

static bool exports(const char *name) { return dlsym(RTLD_DEFAULT, name) != NULL; }

/* QEMU reads the plugin's version after it has loaded the plugin. */
__attribute__((constructor)) static void choose_generation(void)
{
    if (exports("qemu_plugin_scoreboard_new")) {
        plugin.generation = &qemu_10;
    } else {
        plugin.generation = exports("helper_info_plugin_vcpu_udata_cb") ? &qemu_8 : &qemu_7;
    }
    qemu_plugin_version = plugin.generation->api;
}

static void on_cpu(qemu_plugin_id_t id, unsigned index)
{
    (void)id;
    if (index != 0) refuse("the machine has more than one core");
    void *cpu = plugin.qemu.qemu_get_cpu(0);
    if (cpu == NULL) refuse("the core cannot be found");
    void *memory = plugin.core->attach(cpu);
    hide_machine(memory);
    read_board(memory);
    if (plugin.generation->starts_late && plugin.core->reset_reads_memory) plugin.qemu.cpu_reset(cpu);
    start_stack();
    if (plugin.profile) start_paths();
    plugin.shared->ready = sizeof *plugin.shared;
}

static void *end_with_parent(void *nothing)
{
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) continue;
    _exit(1);
    return nothing;
}

static void *map(const char *path, size_t *bytes)
{
    struct stat status;
    const int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) != 0) refuse("%s cannot be opened", path);
    *bytes = (size_t)status.st_size;
    void *memory = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) refuse("%s cannot be mapped", path);
    close(file);
    return memory;
}

static void take_argument(const char *argument)
{
    const char *value = strchr(argument, '=');
    if (value == NULL) refuse("an argument is NAME=FILE, not %s", argument);
    value++;
    size_t bytes;
    if (!strncmp(argument, "board=", 6)) {
        plugin.board = value;
    } else if (!strncmp(argument, "memory=", 7)) {
        plugin.memory = map(value, &bytes);
    } else if (!strncmp(argument, "shared=", 7)) {
        plugin.shared = map(value, &bytes);
        if (bytes != sizeof *plugin.shared) refuse("struct shared has %zu bytes, not %zu", sizeof *plugin.shared, bytes);
    } else {
        refuse("there is no argument %s", argument);
    }
}

EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count, char **arguments);

EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count, char **arguments)
{
    const struct core *cores[] = {&arm, &xtensa};
    for (size_t i = 0; i < sizeof cores / sizeof *cores; i++) {
        if (info->system_emulation && !strcmp(info->target_name, cores[i]->target)) plugin.core = cores[i];
    }
    if (plugin.core == NULL) refuse("there is no board with the core of this QEMU, %s", info->target_name);
    for (int i = 0; i < count; i++) {
        char *copy = strdup(arguments[i]);
        if (copy == NULL) refuse("no memory left");
        take_argument(copy);
    }
    if (!plugin.board || !plugin.memory || !plugin.shared) refuse("an argument is missing");
    look_up_internals(plugin.core->set_register);
    if (plugin.generation->prepare != NULL) plugin.generation->prepare();
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none); /* QEMU aborts when the core locks up, which is reported and needs no dump */
    pthread_t watch;
    if (pthread_create(&watch, NULL, end_with_parent, NULL) != 0) refuse("no thread to watch the parent with");
    qemu_plugin_register_vcpu_init_cb(id, on_cpu);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
