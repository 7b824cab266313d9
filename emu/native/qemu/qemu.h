/* The parts of QEMU that the plugin uses in every version: the plugin API (docs/devel/tcg-plugins.rst), and internals.
 *
 * The declarations of the API come from qemu-plugin.h, which no Debian package ships. The internals are no stable
 * interface: the plugin looks them up by name in the running QEMU, tests them, and ends QEMU if they differ.
 */
#ifndef EMU_NATIVE_QEMU_H
#define EMU_NATIVE_QEMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the plugin API ---------------------------------------------------------------------------------------------- */

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
typedef struct {
    const char *target_name;
    struct {
        int min, cur;
    } version;
    bool system_emulation;
} qemu_info_t; /* the beginning of it */

enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_CB_R_REGS };
enum qemu_plugin_mem_rw { QEMU_PLUGIN_MEM_RW = 3 }; /* 7.2 confuses R and W: R gives stores, W gives both */

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*qemu_plugin_vcpu_simple_cb_t)(qemu_plugin_id_t id, unsigned vcpu);
typedef void (*qemu_plugin_vcpu_udata_cb_t)(unsigned vcpu, void *data);
typedef void (*qemu_plugin_vcpu_tb_trans_cb_t)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*qemu_plugin_vcpu_mem_cb_t)(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data);

void qemu_plugin_register_vcpu_init_cb(qemu_plugin_id_t id, qemu_plugin_vcpu_simple_cb_t callback);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, qemu_plugin_vcpu_tb_trans_cb_t callback);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, qemu_plugin_vcpu_udata_cb_t callback,
                                          enum qemu_plugin_cb_flags flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, qemu_plugin_vcpu_udata_cb_t callback,
                                            enum qemu_plugin_cb_flags flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, qemu_plugin_vcpu_mem_cb_t callback,
                                      enum qemu_plugin_cb_flags flags, enum qemu_plugin_mem_rw rw, void *data);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);
unsigned qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

/* ---- internals of QEMU 7.2, 8.2 and 10.0 ------------------------------------------------------------------------ */

struct memory_region_ops { /* MemoryRegionOps */
    uint64_t (*read)(void *opaque, uint64_t address, unsigned size);
    void (*write)(void *opaque, uint64_t address, uint64_t value, unsigned size);
    void *read_with_attributes, *write_with_attributes;
    int endianness;
    struct {
        unsigned smallest, largest;
        bool unaligned;
        void *accepts;
    } valid;
    struct {
        unsigned smallest, largest;
        bool unaligned;
    } implemented;
};
enum { LITTLE_ENDIAN_DEVICE = 2, MEMORY_REGION_BYTES = 4096 /* more than sizeof(MemoryRegion) */ };

enum { VIRTUAL_CLOCK = 1 /* QEMU_CLOCK_VIRTUAL */ };
enum { BREAKPOINT_OF_GDB = 0x10 };

struct internals {
    void *(*qemu_get_cpu)(int index);
    int (*cpu_breakpoint_insert)(void *cpu, uint64_t pc, int flags, void **breakpoint);
    void (*cpu_loop_exit_noexc)(void *cpu);
    void (*cpu_reset)(void *cpu);
    void *(*get_system_memory)(void);
    void *(*object_property_get_link)(void *object, const char *name, void **error);
    void (*memory_region_init_io)(void *region, void *owner, const void *operations, void *opaque, const char *name,
                                  uint64_t size);
    void (*memory_region_init_ram_ptr)(void *region, void *owner, const char *name, uint64_t size, void *memory);
    void (*memory_region_init_rom_device)(void *region, void *owner, const void *operations, void *opaque,
                                          const char *name, uint64_t size, void **error);
    void *(*memory_region_get_ram_ptr)(void *region);
    void (*memory_region_add_subregion_overlap)(void *container, uint64_t offset, void *region, int priority);
    int64_t (*qemu_clock_get_ns)(int clock);
    int (*set_register)(void *cpu, uint8_t *value, int number); /* by gdb's number */
    const struct memory_region_ops *unassigned_mem_ops;
    void **error_fatal;
};

#endif
