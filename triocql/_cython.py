"""Stands in for the module `cython` where code runs as Python: importing the real one takes 20 ms and serves nothing.

Modules that are compiled, too, write so, and Cython knows what is meant:

    if TYPE_CHECKING:
        import cython
    else:
        from triocql import _cython as cython
"""

compiled = False
