/* The program walks a tree of menus whose last entry leads back to the root: the recursion has no end. */
#include <stddef.h>

__asm__(".global __stack_limit\n.set __stack_limit, 0x2001fc00"); /* 1 KB */

struct menu {
    const char *title;
    const struct menu *children[3];
};

static const struct menu root;
static const struct menu about = {"about", {NULL}};
#ifdef FAULT
static const struct menu display = {"display", {&about, &root}};
#else
static const struct menu display = {"display", {&about}};
#endif
static const struct menu root = {"root", {&display, &about}};
static volatile int entries;

__attribute__((noipa)) static int count_entries(const struct menu *menu)
{ /* FAULT: stack_overflow */
    int count = 1;
    for (int i = 0; i < 3 && menu->children[i] != NULL; i++) count += count_entries(menu->children[i]);
    return count;
}

int main(void)
{
    entries = count_entries(&root);
    return 0;
}
