# The function on pairs of `window.py`, inline, where it is compiled.
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_SET_ITEM

from triocql.codecs._node cimport allocate


cdef inline object pair_of(object kind, object success, object outcome):
    pair = allocate(<PyTypeObject*><PyObject*>kind, 2)
    Py_INCREF(success)
    PyTuple_SET_ITEM(pair, 0, success)
    Py_INCREF(outcome)
    PyTuple_SET_ITEM(pair, 1, outcome)
    return pair
