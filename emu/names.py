"""Names that people can read: the linker's names of C++ and Rust functions and variables become the source's names."""

from functools import lru_cache

from demangle import demangle

_LANGUAGES = ("itanium", "rust")
_MANGLED = ("_Z", "_R")


@lru_cache(maxsize=1 << 16)
def readable(name: str) -> str:
    """Return a symbol's name in the source, with its template arguments and parameters.

    A name that is not mangled, or cannot be demangled, is returned as it is.
    """
    return demangle(name, language=_LANGUAGES, style="gnu") if name.startswith(_MANGLED) else name
