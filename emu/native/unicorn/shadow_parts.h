/* The functions that the parts of the memory checker share. */
#ifndef EMU_SHADOW_PARTS_H
#define EMU_SHADOW_PARTS_H

#include "parts.h"
#include "shadow.h"

#define NOT_AN_INSTRUCTION 1u /* the number for the second half of an instruction */

/* A reported access. */
struct place {
    enum access access;
    uint32_t address, size, state;
};

#define ALL UINT32_MAX
#define BIT(number) (UINT64_C(1) << (number))

/* The registers at one moment. */
struct registers {
    uint32_t value[REGISTER_PC + 1];
    uint32_t selection; /* GE */
    uint32_t undefined[REGISTERS];
    uint64_t unknown;   /* registers whose value is not known */
};

/* instructions.c */
uint32_t *number_at(struct probe *probe, uint32_t address);
uint32_t core_register(const struct probe *probe, uc_engine *uc, uint32_t number);
uint32_t accessed_address(const struct probe *probe, uc_engine *uc, const struct instruction *at, uint32_t pc,
                          uint32_t *base);

/* undefined.c */
void compute(const struct instruction *at, struct registers *registers);
bool undefined_condition(const struct instruction *at, const struct registers *registers);

/* shadow.c */
void shadow_program_begins(struct shadow *shadow);
void shadow_instruction(struct probe *probe, uc_engine *uc, struct instruction *at, uint32_t pc);
struct shadow_memory *memory_at(struct shadow *shadow, uint32_t address);
bool is_open(const struct probe *probe, const struct shadow_memory *memory, uint32_t offset, enum access access,
             bool null);
uint32_t origin_here(struct probe *probe, uc_engine *uc, struct instruction *at, uint32_t pc, uint32_t address);
void report(struct probe *probe, uc_engine *uc, struct instruction *at, uint32_t pc, enum finding_kind kind,
            uint32_t origin, struct place place);

/* strings.c */
void check_string_function(struct probe *probe, uc_engine *uc, struct instruction *call, uint32_t pc,
                           enum string_function function);
/* memcpy, which begins at pc, is called: its two places must not overlap. */
void check_copy(struct probe *probe, uc_engine *uc, struct instruction *call, uint32_t pc);

#endif
