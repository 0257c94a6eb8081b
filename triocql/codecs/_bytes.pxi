# Bytes: reading and writing integers, a buffer that grows, and objects made without their constructors.

cdef inline uint32_t read32(const uint8_t* p) noexcept nogil:
    return (<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | p[3]


cdef inline uint64_t read64(const uint8_t* p) noexcept nogil:
    return (<uint64_t>read32(p) << 32) | read32(p + 4)


cdef inline void store32(uint8_t* p, uint32_t value) noexcept nogil:
    p[0] = value >> 24
    p[1] = value >> 16
    p[2] = value >> 8
    p[3] = value


cdef inline void store64(uint8_t* p, uint64_t value) noexcept nogil:
    store32(p, value >> 32)
    store32(p + 4, <uint32_t>value)


@cython.final
@cython.freelist(8)
cdef class Buffer:
    """Bytes that grow: in place while they are few."""

    cdef uint8_t* data
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef uint8_t[512] few

    def __cinit__(self):
        self.data = self.few
        self.size = 0
        self.capacity = 512

    def __dealloc__(self):
        if self.data != self.few:
            PyMem_Free(self.data)

    cdef int grow(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t capacity = self.capacity * 2
        cdef uint8_t* data
        if capacity < self.size + more:
            capacity = self.size + more
        data = <uint8_t*>PyMem_Realloc(NULL if self.data == self.few else self.data, capacity)
        if data == NULL:
            raise MemoryError
        if self.data == self.few:
            memcpy(data, self.few, self.size)
        self.data = data
        self.capacity = capacity
        return 0

    cdef inline uint8_t* room(self, Py_ssize_t more) except NULL:
        """Make room for `more` bytes, and return where they go."""
        if self.size + more > self.capacity:
            self.grow(more)
        self.size += more
        return self.data + self.size - more

    cdef inline int append(self, const void* data, Py_ssize_t size) except -1:
        memcpy(self.room(size), data, size)
        return 0

    cdef inline int close(self, Py_ssize_t start) except -1:
        """Write the length of what came after `start`, where 4 bytes are left for it."""
        cdef Py_ssize_t size = self.size - start - 4
        if size > MAX_INT:
            raise OverflowError
        store32(self.data + start, <uint32_t>size)
        return 0


cdef inline int set_slot(PyObject* descriptor, object instance, object value) except -1:
    return slot_setter(descriptor)(descriptor, <PyObject*>instance, <PyObject*>value)


cdef inline object allocate(PyObject* cls):
    return allocator(<PyTypeObject*>cls)(<PyTypeObject*>cls, 0)
