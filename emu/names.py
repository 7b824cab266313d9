"""Names that people can read: the linker's names of C++ and Rust functions and variables say what the source says."""

from functools import lru_cache

from demangle import demangle

_LANGUAGES = ("itanium", "rust")
_MANGLED = ("_Z", "_R")


@lru_cache(maxsize=1 << 16)
def readable(name: str) -> str:
    """Return the name in the source of a symbol, with its template arguments and parameters.

    A name that is not mangled, or that has no meaning, is returned as it is.
    """
    return demangle(name, language=_LANGUAGES, style="gnu") if name.startswith(_MANGLED) else name
