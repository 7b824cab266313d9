/* Functions and variables whose names a C++ or Rust compiler mangles; one of them branches on a value that was never set. */
namespace shop {
struct Item {
    int price;
};

template <class T, int N> struct Ring {
    T items[N];
    template <class U> __attribute__((noinline)) U sum(U (*of)(const T &), decltype(N) first) const
    {
        U total = 0;
        for (int i = first; i < N; i++) total += of(items[i]);
        return total;
    }
    __attribute__((noinline)) operator bool() const { return items[0].price != 0; }
    __attribute__((noinline)) bool operator<(const Ring &other) const { return items[0].price < other.items[0].price; }
};

Ring<Item, 3> window[2] = {{{{1}, {2}, {3}}}, {{{4}, {5}, {6}}}};

namespace {
template <class First, class Second> __attribute__((noinline)) int never_set(First, Second)
{
    Item item;
    __asm__ volatile("" : "=m"(item)); /* the compiler takes it for set */
    int steps = 0;
    while (item.price > 1 && steps < 2) { /* never set */
        __asm__ volatile("");
        steps++;
    }
    return steps;
}
}
}

extern "C" {
__attribute__((noinline)) int rust_v0(void) __asm__("_RNvMNtCs4fqI2P2rA04_4core5arrayAhj4_3sum");
__attribute__((noinline)) int rust_legacy(void) __asm__("_ZN4core5slice5index8in_range17h0123456789abcdefE");
int rust_v0(void) { __asm__ volatile(""); return 1; }
int rust_legacy(void) { __asm__ volatile(""); return 2; }
}

int main()
{
    auto price = [](const shop::Item &item) { return item.price; };
    int sum = shop::window[0].sum<int>(price, 0) + static_cast<bool>(shop::window[1]) + (shop::window[0] < shop::window[1]);
    sum += shop::never_set(shop::Item{1}, 'c') + rust_v0() + rust_legacy();
    return sum == 0;
}
