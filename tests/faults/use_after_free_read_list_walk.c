/* A list is freed node by node; the address of the next node is read from the freed node. */
#include <stdint.h>
#include <stdlib.h>

struct node {
    uint32_t key, value, flags;
    struct node *next;
};

static struct node *first;
static volatile uint32_t released;

__attribute__((noipa)) static void push(uint32_t key)
{
    struct node *node = malloc(sizeof *node);
    if (node == NULL) return;
    *node = (struct node){key, key * 3, 0, first};
    first = node;
}

__attribute__((noipa)) static struct node *next_of(const volatile struct node *node)
{
    struct node *value = node->next; /* FAULT: use_after_free_read */
    return value;
}

__attribute__((noipa)) static void clear(struct node *node)
{
    while (node != NULL) {
#ifdef FAULT
        free(node);
        node = next_of(node);
#else
        struct node *next = next_of(node);
        free(node);
        node = next;
#endif
        released++;
    }
}

int main(void)
{
    for (uint32_t key = 1; key <= 3; key++) push(key);
    clear(first);
    return 0;
}
