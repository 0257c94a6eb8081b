# Arrow's C data interface: the structs of a schema, of an array and of a stream, which their consumers release.

cdef extern from *:
    """
    struct ArrowSchema {
      const char* format;
      const char* name;
      const char* metadata;
      int64_t flags;
      int64_t n_children;
      struct ArrowSchema** children;
      struct ArrowSchema* dictionary;
      void (*release)(struct ArrowSchema*);
      void* private_data;
    };
    struct ArrowArray {
      int64_t length;
      int64_t null_count;
      int64_t offset;
      int64_t n_buffers;
      int64_t n_children;
      const void** buffers;
      struct ArrowArray** children;
      struct ArrowArray* dictionary;
      void (*release)(struct ArrowArray*);
      void* private_data;
    };
    struct ArrowArrayStream {
      int (*get_schema)(struct ArrowArrayStream*, struct ArrowSchema* out);
      int (*get_next)(struct ArrowArrayStream*, struct ArrowArray* out);
      const char* (*get_last_error)(struct ArrowArrayStream*);
      void (*release)(struct ArrowArrayStream*);
      void* private_data;
    };
    """
    struct ArrowSchema:
        const char* format
        const char* name
        const char* metadata
        int64_t flags
        int64_t n_children
        ArrowSchema** children
        ArrowSchema* dictionary
        void (*release)(ArrowSchema*) noexcept nogil
        void* private_data

    struct ArrowArray:
        int64_t length
        int64_t null_count
        int64_t offset
        int64_t n_buffers
        int64_t n_children
        const void** buffers
        ArrowArray** children
        ArrowArray* dictionary
        void (*release)(ArrowArray*) noexcept nogil
        void* private_data

    struct ArrowArrayStream:
        int (*get_schema)(ArrowArrayStream*, ArrowSchema* out) noexcept
        int (*get_next)(ArrowArrayStream*, ArrowArray* out) noexcept
        const char* (*get_last_error)(ArrowArrayStream*) noexcept
        void (*release)(ArrowArrayStream*) noexcept
        void* private_data

cdef enum:
    NULLABLE = 2


# --- Schemas ---


cdef void release_schema(ArrowSchema* schema) noexcept nogil:
    cdef int64_t i
    for i in range(schema.n_children):
        if schema.children[i].release != NULL:
            schema.children[i].release(schema.children[i])
    free(schema.private_data)
    schema.release = NULL


cdef int fill_schema(ArrowSchema* out, tuple field) except -1:
    """Make the schema of a field as `fields_of` gives it; `out` is zeroed before. All of it is one piece of memory."""
    cdef bytes name, form, metadata
    cdef tuple children
    cdef ArrowSchema* kids
    cdef char* p
    cdef Py_ssize_t i
    name, form, metadata, nullable, children = field
    p = <char*>calloc(1, len(children) * (sizeof(ArrowSchema) + sizeof(void*)) + len(name) + len(form) + len(metadata) + 3)
    if p == NULL:
        raise MemoryError
    kids = <ArrowSchema*>p
    out.private_data = p
    out.children = <ArrowSchema**>(p + len(children) * sizeof(ArrowSchema))
    out.n_children = len(children)
    out.release = release_schema
    for i in range(len(children)):
        out.children[i] = &kids[i]
    p += len(children) * (sizeof(ArrowSchema) + sizeof(void*))
    memcpy(p, PyBytes_AS_STRING(name), len(name))
    out.name = p
    p += len(name) + 1
    memcpy(p, PyBytes_AS_STRING(form), len(form))
    out.format = p
    p += len(form) + 1
    if metadata:
        memcpy(p, PyBytes_AS_STRING(metadata), len(metadata))
        out.metadata = p
    out.flags = NULLABLE if nullable else 0
    for i in range(len(children)):
        fill_schema(&kids[i], children[i])
    return 0


cdef void drop_schema(capsule) noexcept:
    cdef ArrowSchema* schema = <ArrowSchema*>PyCapsule_GetPointer(capsule, "arrow_schema")
    if schema.release != NULL:
        schema.release(schema)
    free(schema)


cdef schema_capsule(tuple fields):
    cdef ArrowSchema* schema = <ArrowSchema*>calloc(1, sizeof(ArrowSchema))
    if schema == NULL:
        raise MemoryError
    capsule = PyCapsule_New(schema, "arrow_schema", drop_schema)
    fill_schema(schema, (b"", b"+s", b"", False, fields))
    return capsule


# --- Arrays: each holds the root of its batch, so that children can be moved out of their parents ---


cdef struct Exported:
    Root* root
    const void* buffers[3]


cdef void release_array(ArrowArray* array) noexcept nogil:
    cdef int64_t i
    cdef Exported* exported = <Exported*>array.private_data
    for i in range(array.n_children):
        if array.children[i].release != NULL:
            array.children[i].release(array.children[i])
    release_root(exported.root)
    free(exported)
    array.release = NULL


cdef int export_one(ArrowArray* out, Root* root, int64_t length, int64_t nulls, int kid_count) noexcept nogil:
    """Make an array without its buffers and what is in its children; -1 if there is no memory."""
    cdef int i
    cdef Exported* exported = <Exported*>calloc(
        1, sizeof(Exported) + <size_t>kid_count * (sizeof(ArrowArray) + sizeof(void*))
    )
    cdef ArrowArray* kids = <ArrowArray*>(exported + 1)
    if exported == NULL:
        return -1
    exported.root = root
    more(&root.references)
    out.length = length
    out.null_count = nulls
    out.offset = 0
    out.n_buffers = 1
    out.buffers = exported.buffers
    out.n_children = kid_count
    out.children = <ArrowArray**>(kids + kid_count)
    out.dictionary = NULL
    out.private_data = exported
    out.release = release_array
    for i in range(kid_count):
        out.children[i] = &kids[i]
    return 0


cdef inline const void* address_of(Buffer* buffer) noexcept nogil:
    return buffer.p if buffer.p != NULL else ZEROS


cdef int export_vec(ArrowArray* out, Root* root, Vec* vec) noexcept nogil:
    """Make the array of a vector; -1 if there is no memory. What is there by then is released with `out`."""
    cdef int i
    cdef int kids = 0
    cdef ArrowArray* parent = out
    for i in range(vec.kid_count):
        kids += vec.kids[i].kernel != SKIP
    if export_one(out, root, vec.length, vec.nulls, 1 if vec.kernel == MAP else kids):
        return -1
    out.buffers[0] = vec.validity.p if vec.nulls else NULL
    if vec.kernel in (LIST, MAP):
        out.n_buffers = 2
        out.buffers[1] = address_of(&vec.offsets)
    elif BYTES <= vec.kernel <= UUID_TEXT:
        out.n_buffers = 3
        out.buffers[1] = address_of(&vec.offsets)
        out.buffers[2] = address_of(&vec.values)
    elif vec.kernel not in (STRUCT, TUPLE, VECTOR, ROWS):
        out.n_buffers = 2
        out.buffers[1] = address_of(&vec.values)
    if vec.kernel == MAP:
        parent = out.children[0]
        if export_one(parent, root, vec.kids[0].length, 0, kids):
            return -1
    kids = 0
    for i in range(vec.kid_count):
        if vec.kids[i].kernel == SKIP:
            continue
        if export_vec(parent.children[kids], root, &vec.kids[i]):
            return -1
        kids += 1
    return 0


cdef void drop_array(capsule) noexcept:
    cdef ArrowArray* array = <ArrowArray*>PyCapsule_GetPointer(capsule, "arrow_array")
    if array.release != NULL:
        array.release(array)
    free(array)


cdef array_capsule(Root* root):
    cdef ArrowArray* array = <ArrowArray*>calloc(1, sizeof(ArrowArray))
    if array == NULL:
        raise MemoryError
    capsule = PyCapsule_New(array, "arrow_array", drop_array)
    if export_vec(array, root, &root.vec):
        raise MemoryError
    return capsule


# --- Streams: of an iterator of batches, called by whoever reads them, in whatever thread ---


@cython.final
cdef class Stream:
    cdef Decoder decoder
    cdef object batches
    cdef bytes message


cdef int stream_failed(Stream self, error) noexcept:
    """Keep what is to be said of an error, and return its number. An interrupt, which no consumer would pass on, is
    raised again in the main thread."""
    self.message = f"{type_name(error)}: {error}".encode(errors="replace")
    if isinstance(error, KeyboardInterrupt):
        interrupt_main()
        return EINTR
    return ENOMEM if isinstance(error, MemoryError) else EIO


cdef int stream_schema(ArrowArrayStream* stream, ArrowSchema* out) noexcept with gil:
    cdef Stream self = <Stream>stream.private_data
    memset(out, 0, sizeof(ArrowSchema))
    try:
        fill_schema(out, (b"", b"+s", b"", False, self.decoder.fields))
    except BaseException as error:
        if out.release != NULL:
            out.release(out)
        return stream_failed(self, error)
    return 0


cdef int stream_next(ArrowArrayStream* stream, ArrowArray* out) noexcept with gil:
    cdef Stream self = <Stream>stream.private_data
    cdef Batch batch
    memset(out, 0, sizeof(ArrowArray))
    try:
        found = next(self.batches, None)
        if found is None:
            return 0
        batch = found
        check_made(batch)
        if export_vec(out, batch.root, &batch.root.vec):
            raise MemoryError
    except BaseException as error:
        if out.release != NULL:
            out.release(out)
        return stream_failed(self, error)
    return 0


cdef const char* stream_error(ArrowArrayStream* stream) noexcept with gil:
    cdef Stream self = <Stream>stream.private_data
    return NULL if self.message is None else PyBytes_AS_STRING(self.message)


cdef void release_stream(ArrowArrayStream* stream) noexcept with gil:
    stream.release = NULL
    Py_DECREF(<object>stream.private_data)


cdef void drop_stream(capsule) noexcept:
    cdef ArrowArrayStream* stream = <ArrowArrayStream*>PyCapsule_GetPointer(capsule, "arrow_array_stream")
    if stream.release != NULL:
        stream.release(stream)
    free(stream)


cdef stream_capsule(Decoder decoder, batches):
    cdef Stream self = Stream.__new__(Stream)
    cdef ArrowArrayStream* stream = <ArrowArrayStream*>calloc(1, sizeof(ArrowArrayStream))
    if stream == NULL:
        raise MemoryError
    capsule = PyCapsule_New(stream, "arrow_array_stream", drop_stream)
    self.decoder = decoder
    self.batches = batches
    stream.get_schema = stream_schema
    stream.get_next = stream_next
    stream.get_last_error = stream_error
    stream.release = release_stream
    stream.private_data = <void*>self
    Py_INCREF(self)
    return capsule
