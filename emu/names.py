"""Names that people can read: the linker's names of C++ and Rust functions and variables become the source's names."""

from functools import lru_cache

_LANGUAGES = ("itanium", "rust")
_MANGLED = ("_Z", "_R")


@lru_cache(maxsize=1 << 16)
def readable(name: str) -> str:
    """Return a symbol's name in the source, with its template arguments and parameters.

    A name that is not mangled, or cannot be demangled, is returned as it is.
    """
    if not name.startswith(_MANGLED):
        return name
    from demangle import demangle  # only for firmware in C++ or Rust

    return demangle(name, language=_LANGUAGES, style="gnu")
