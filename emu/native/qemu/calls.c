/* Call paths: each block's instructions count for the path of the block. */
#include "parts.h"

enum { DEEPEST = 1024 };

void start_paths(void)
{
    struct call_tree *calls = &plugin.shared->calls;
    *calls = (struct call_tree){
        .functions = plugin.functions,
        .function_count = plugin.function_count,
        .nodes = plugin.shared->nodes,
        .node_capacity = CALL_PATHS,
        .frames = allocate(DEEPEST * sizeof *calls->frames),
        .frame_capacity = DEEPEST,
    };
    start_calls(calls);
}

void count_on_path(uint32_t address, uint32_t function, uint32_t instructions, uint32_t call_returns_to)
{
    struct call_tree *calls = &plugin.shared->calls;
    uint32_t node = calls->current;
    if (*plugin.status & plugin.status_bits) {
        node = beside_calls(calls, function);
    } else {
        const struct core *core = plugin.core;
        const bool called = call_returns_to != 0 && call_returns_to != address &&
                            core->return_address(core->link(address), address) == call_returns_to;
        if (called || !goes_on(calls, address, function)) {
            follow_calls(calls, address, function, called ? call_returns_to : 0, *plugin.sp);
        }
        node = calls->current;
    }
    plugin.shared->counted_node = node;
    calls->nodes[node].instructions += instructions;
}
