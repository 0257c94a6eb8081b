# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=False
"""The classes that every request passes through. Compiled twin of request, execution, template, streams and window."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_DelItem, PyDict_GetItem
from cpython.object cimport PyObject
from cpython.time cimport time as wall_clock
from libc.string cimport memcmp, memcpy

from contextvars import copy_context

from triocql.engine.requests.overdue import spent, timed_out
from triocql.engine.requests.phase import Phase
from triocql.engine.requests.telling import as_error, refuse, report, spoil
from triocql.errors import Attempt, BindTypeError, BindValueError, Error, ProtocolError, RequestError, SessionClosed
from triocql.statements.paging import statement_fingerprint
from triocql.statements.prepared import check_values_fit
from triocql.protocol.constants import EVENT_STREAM, MAX_FRAME, SERVER, Opcode, ResultKind
from triocql.protocol.frames import check_body

cdef object NEW = Phase.NEW
cdef object SENDING = Phase.SENDING
cdef object WAITING = Phase.WAITING
cdef object DONE = Phase.DONE

cdef int OP_EVENT = Opcode.EVENT
cdef int OP_RESULT = Opcode.RESULT
cdef int OP_EXECUTE = Opcode.EXECUTE
cdef int EVENTS = EVENT_STREAM
cdef int FEW = 256
cdef Py_ssize_t MAX_BODY = MAX_FRAME
# A window asks for the time once for so many requests that it starts in a row.
cdef int BATCH = 64
cdef long long SERVER_TIME = SERVER
cdef bytes VOID = int(ResultKind.VOID).to_bytes(4, "big")


cdef inline bint is_gone(sink) except -1:
    """Whether `sink` is a waiter whose consumer was cancelled; see `request.is_gone`."""
    if type(sink) is Entry:
        return False
    check = getattr(sink, "is_gone", None)
    return check is not None and check()


cdef inline bint may_be_void(message) except -1:
    """Whether a RESULT without content can be the answer to `message`."""
    if type(message) is ExecuteMessage:
        return (<ExecuteMessage>message).may_be_void
    return message.may_be_void


cdef class Request:
    """A message on its way, with one outcome at the end; see `request.Request`."""

    cdef public object sink
    cdef public object holder
    cdef public object phase
    cdef public bytes body
    cdef public tuple waited
    cdef public double deadline
    cdef public double timeout
    cdef public int stream
    cdef public int opcode
    cdef public int flags

    def __init__(self, sink, double deadline, double timeout):
        self.sink = sink
        self.deadline = deadline
        self.timeout = timeout
        self.phase = NEW
        self.stream = -1
        self.body = b""

    cpdef answered(self, connection, int opcode, int flags, bytes body):
        """Take the response. The connection has let go of the request."""
        raise NotImplementedError

    def lost(self, connection, error, *, written):
        """Take note that the connection ended. The connection has let go of the request."""
        raise NotImplementedError

    cpdef succeed(self, value):
        """End with `value`, once."""
        if self.phase is not DONE:
            sink = self.end()
            try:  # `give`, without a call
                if type(sink) is Entry:
                    (<Entry>sink).window.end(<Entry>sink, value, None)
                else:
                    sink.resolve(value)
            except Exception as bug:
                refuse(sink, as_error(bug))
                report(bug)

    cpdef fail(self, error):
        """End with `error`, once."""
        if self.phase is not DONE:
            refuse(self.end(), error)

    cpdef abandon(self):
        """End without telling anybody: whoever waited is gone. What was not written will not be sent."""
        if self.phase is not DONE:
            self.end()

    @property
    def statement(self):
        """The text of the statement that it is about, "" if there is none."""
        return ""

    def time_out(self, double now, str node=""):
        """End because the deadline passed by `now`, on the connection to `node` or on none."""
        self.fail(timed_out(self, now, node))

    cpdef leave(self):
        """Have whoever holds the request let go of it."""
        holder, self.holder = self.holder, None
        if holder is not None:
            holder.release(self, self.phase)

    cdef end(self):
        """Be done, before the holder lets go of it, and return the sink, which is forgotten; see `request._end`."""
        sink, holder, phase = self.sink, self.holder, self.phase
        self.sink = None
        self.holder = None
        self.phase = DONE
        if holder is not None:
            try:
                holder.release(self, phase)
            except Exception as bug:
                report(bug)
        return sink


cdef class Execution(Request):
    """A request whose message may be tried on several connections; see `execution.Execution`."""

    cdef public object recovery
    cdef public object message
    cdef public double started
    cdef public bint idempotent
    cdef public bint maybe_executed
    cdef public tuple attempts
    cdef public tuple tried
    cdef public dict unprepared

    def __init__(self, sink, recovery, double started, double timeout, bint idempotent):
        self.prepare(sink, recovery, started, timeout, idempotent)

    cdef prepare(self, sink, recovery, double started, double timeout, bint idempotent):
        self.sink = sink
        self.deadline = started + timeout
        self.timeout = timeout
        self.phase = NEW
        self.stream = -1
        self.body = b""
        self.recovery = recovery
        self.started = started
        self.idempotent = idempotent
        self.attempts = ()
        self.tried = ()
        self.unprepared = None

    @property
    def is_done(self):
        """Whether it has ended."""
        return self.phase is DONE

    def say(self, message):
        """Set what the request says. Raises UsageError if it is too long for a frame."""
        cdef bytes body = message.body()
        if len(body) > MAX_BODY:
            check_body(len(body))
        self.message = message
        self.opcode = message.opcode
        self.flags = message.flags
        self.body = body

    def go(self, message):
        """Say it and send it, from wherever the request is held, unless it has ended."""
        if self.phase is DONE:
            return
        self.say(message)
        self.leave()
        self.recovery.router.submit(self)

    cpdef answered(self, connection, int opcode, int flags, bytes body):
        """End with the response, or have recovery decide about the error."""
        if opcode != OP_RESULT:
            self.recovery.refused(self, connection, opcode, flags, body)
            return
        message = self.message
        if flags == 0 and body == VOID and may_be_void(message):
            self.succeed(connection.void)
            return
        try:
            if type(message) is ExecuteMessage:
                response = (<ExecuteMessage>message).read(flags, body, connection)
            else:
                response = message.read(flags, body, connection)
        except BaseException as error:  # a class or a codec of the caller's may have raised it
            self.recovery.unreadable(self, connection, error)
        else:
            self.succeed(response)

    def lost(self, connection, error, *, written):
        """Have recovery decide."""
        self.recovery.lost(self, connection, error, written=written)

    cpdef fail(self, error):
        """End with `error`, which gets to know the attempts before it."""
        if isinstance(error, (RequestError, SessionClosed)):
            error.attempts = error.attempts or self.attempts
            error.maybe_executed = error.maybe_executed or self.maybe_executed
        Request.fail(self, error)

    @property
    def statement(self):
        """The text of the statement (`Request`)."""
        return "" if self.message is None else self.message.text

    def note_attempt(self, connection, error, double now):
        """Remember a failed attempt that another one follows."""
        self.attempts += (Attempt(connection.name, error, now - self.started - spent(self)),)
        self.tried += (connection.name,)
        self.maybe_executed = self.maybe_executed or error.maybe_executed


cdef class Response:
    """The answer to one request; see `response.Response`."""

    cdef public object page
    cdef public bytes paging_state
    cdef public object extras
    cdef public object schema_change
    cdef public str coordinator

    def __init__(self, page=None, bytes paging_state=None, extras=None, schema_change=None, str coordinator=""):
        self.page = page
        self.paging_state = paging_state
        self.extras = extras
        self.schema_change = schema_change
        self.coordinator = coordinator


cdef class MonotonicTimestamps:
    """The wall clock in microseconds, but strictly increasing; see `timestamps.MonotonicTimestamps`."""

    cdef long long _last
    cdef object _now

    def __init__(self, now=None):
        self._now = now

    cpdef long long next(self) except? -1:
        """Return the next timestamp, in microseconds."""
        cdef long long now
        if self._now is None:
            now = <long long>(wall_clock() * 1e6)
        else:
            now = self._now() // 1000
        if now <= self._last:
            now = self._last + 1
        self._last = now
        return now


cdef class ExecuteMessage:
    """A prepared statement with its values encoded; see `template.ExecuteMessage`."""

    cdef object _text
    cdef object _state
    cdef bytes _values
    cdef long long _timestamp
    cdef object _envelope
    cdef object _reader
    cdef readonly object settings
    cdef readonly bint may_be_void

    def __init__(self, text, state, bytes values, long long timestamp, settings, envelope, reader):
        self._text = text
        self.may_be_void = text.answers.void
        self._state = state
        self._values = values
        self._timestamp = timestamp
        self.settings = settings
        self._envelope = envelope
        self._reader = reader

    @property
    def opcode(self):
        """The opcode of the frame (`Message`)."""
        return OP_EXECUTE

    @property
    def flags(self):
        """The flags of the frame (`Message`)."""
        return self._envelope.flags

    @property
    def text(self):
        """What errors show of it (`Message`)."""
        return self._text.text

    def body(self):
        """Return the body (`Message`)."""
        envelope = self._envelope
        return join(
            envelope.payload,
            self._state.prefix,
            envelope.head,
            self._values,
            envelope.before,
            self._timestamp,
            envelope.after,
        )

    cpdef read(self, int flags, bytes body, connection):
        """Read the answer (`Message`)."""
        cdef bytes head = self._state.rows_head
        cdef Py_ssize_t size = PyBytes_GET_SIZE(head)
        cdef Response response
        if flags == 0 and size and PyBytes_GET_SIZE(body) >= size + 4 and not memcmp(
            PyBytes_AS_STRING(body), PyBytes_AS_STRING(head), size
        ):
            response = Response.__new__(Response)
            response.page = self._state.plan.page(body, size + 4, number(body, size))
            response.coordinator = connection.name
            return response
        return self._reader.read(flags, body, connection, self._text.answers, self._text, self._state)

    def texts(self):
        """Return the statement (`Message`)."""
        return (self._text,)

    def statement(self, bytes statement_id):
        """Return the statement, if it has this id (`Message`)."""
        return self._text if statement_id == self._state.id else None

    def reprepared(self, statement, state):
        """Go on with `state`; raises PreparedIdMismatch if the values were encoded for other types (`Message`)."""
        check_values_fit(statement, self._state, state)
        self._state = state

    def fingerprint(self):
        """Return what its paging states are bound to."""
        text = self._text
        return statement_fingerprint(text.text, text.keyspace, self._state.bind_columns, self._values)

    def page(self, bytes paging_state):
        """Return the message that asks for the page after `paging_state`."""
        envelope = self.settings.make(
            values=True, skip_metadata=self._state.skip_metadata, paging_state=paging_state
        )
        return ExecuteMessage(
            self._text, self._state, self._values, self._timestamp, self.settings, envelope, self._reader
        )


cdef inline int number(bytes body, Py_ssize_t at):
    cdef unsigned char* p = <unsigned char*>PyBytes_AS_STRING(body) + at
    return <int>((<unsigned int>p[0] << 24) | (<unsigned int>p[1] << 16) | (<unsigned int>p[2] << 8) | p[3])


cdef inline char* put(char* at, bytes part):
    cdef Py_ssize_t size = PyBytes_GET_SIZE(part)
    memcpy(at, PyBytes_AS_STRING(part), size)
    return at + size


cdef bytes join(
    bytes payload, bytes prefix, bytes head, bytes values, bytes before, long long timestamp, bytes after
):
    """Return the parts of an EXECUTE body in one piece. Raises UsageError if it is too long for a frame."""
    cdef Py_ssize_t stamped = 0 if timestamp == SERVER_TIME else 8
    cdef Py_ssize_t size = (
        PyBytes_GET_SIZE(payload)
        + PyBytes_GET_SIZE(prefix)
        + PyBytes_GET_SIZE(head)
        + PyBytes_GET_SIZE(values)
        + PyBytes_GET_SIZE(before)
        + stamped
        + PyBytes_GET_SIZE(after)
    )
    cdef bytes body
    cdef char* at
    cdef unsigned long long stamp = <unsigned long long>timestamp
    cdef int i
    if size > MAX_BODY:
        check_body(size)
    body = PyBytes_FromStringAndSize(NULL, size)
    at = PyBytes_AS_STRING(body)
    at = put(put(put(put(put(at, payload), prefix), head), values), before)
    for i in range(stamped):
        at[i] = <char>((stamp >> (56 - 8 * i)) & 0xFF)
    put(at + stamped, after)
    return body


cdef class ExecuteTemplate:
    """Starts executions of one prepared statement with one set of options; see `template.ExecuteTemplate`."""

    cdef object _text
    cdef object _settings
    cdef object _state
    cdef object _envelope
    cdef object _router
    cdef Target _turn
    cdef object _recovery
    cdef object _reader
    cdef MonotonicTimestamps _timestamps
    cdef object _now
    cdef object _ask
    cdef object _fixed_timestamp
    cdef object _bind
    cdef double _timeout
    cdef bint _idempotent
    cdef bint _may_be_void
    cdef bint _resumes
    cdef int _flags
    cdef bytes _payload
    cdef bytes _prefix
    cdef bytes _head
    cdef bytes _before
    cdef bytes _after

    def __init__(self, parts, text, settings):
        options = settings.options
        self._router, self._recovery, self._reader, self._timestamps, self._now, self._ask = parts
        self._turn = self._router.turn
        self._text = text
        self._settings = settings
        self._timeout = options.timeout
        self._idempotent = text.idempotent if options.idempotent is None else options.idempotent
        self._may_be_void = text.answers.void
        self._fixed_timestamp = options.timestamp
        self._resumes = options.paging_state is not None
        self.adopt(text.state)

    cdef adopt(self, state):
        envelope = self._settings.for_values(skip_metadata=state.skip_metadata)
        self._state = state
        self._envelope = envelope
        self._bind = state.binder.bind
        self._flags = envelope.flags
        self._payload = envelope.payload
        self._prefix = state.prefix
        self._head = envelope.head
        self._before = envelope.before
        self._after = envelope.after

    cpdef Execution start(self, sink, parameters, double now=-1.0):
        """Bind `parameters` and send; `now` is the time if it is known. Raises UsageError and its kinds."""
        cdef ExecuteMessage message
        cdef Execution execution
        state = self._text.state
        if state is not self._state:
            self.adopt(state)
        try:
            values = self._bind(parameters)
        except (BindTypeError, BindValueError) as refusal:
            return self._ask(self._settings, self._text, sink, parameters, refusal)
        message = self.message(state, values)
        execution = Execution.__new__(Execution)
        if now < 0:
            now = self._now()
        execution.prepare(sink, self._recovery, now, self._timeout, self._idempotent)
        execution.message = message
        execution.opcode = OP_EXECUTE
        execution.flags = self._flags
        if self._resumes:
            execution.body = message.body()
        else:
            execution.body = join(
                self._payload,
                self._prefix,
                self._head,
                message._values,
                self._before,
                message._timestamp,
                self._after,
            )
        if not self._turn.send(execution):
            self._router.submit(execution)
        return execution

    cpdef ExecuteMessage message(self, state, bytes values):
        """Return the message for values that are bound already. Raises PagingStateMismatch."""
        cdef ExecuteMessage message = ExecuteMessage.__new__(ExecuteMessage)
        if state is not self._state:
            self.adopt(state)
        fixed = self._fixed_timestamp
        message._text = self._text
        message.may_be_void = self._may_be_void
        message._state = state
        message._values = values
        if fixed is None:
            message._timestamp = self._timestamps.next()
        else:
            message._timestamp = fixed
        message.settings = self._settings
        message._reader = self._reader
        message._envelope = self._envelope
        return self._settings.resumed(message) if self._resumes else message

    cpdef Execution execution(self, sink):
        """Return an execution that says nothing yet."""
        cdef Execution execution = Execution.__new__(Execution)
        execution.prepare(sink, self._recovery, self._now(), self._timeout, self._idempotent)
        return execution


cdef class Streams:
    """The table of stream ids, and the requests that the transport has not pulled yet; see `streams.Streams`."""

    cdef object _connection
    cdef object _clock
    cdef list _outgoing
    cdef readonly dict in_flight
    cdef readonly set orphans
    cdef readonly list free
    cdef readonly list used
    cdef readonly list spare
    cdef public bint open
    cdef readonly bint closed

    def __init__(self, connection, clock, int size):
        self._connection = connection
        self._clock = clock
        self._outgoing = []
        self.in_flight = {}
        self.orphans = set()
        cdef int few = min(size, FEW)
        self.free = list(range(few - 1, -1, -1))  # if it is empty, so are the other two
        self.used = []
        self.spare = list(range(size - 1, few - 1, -1))
        self.open = True

    cpdef send(self, Request request):
        """Take a stream id and put `request` into the next batch. What has ended is not sent."""
        if request.phase is DONE:
            return
        if self.closed:
            request.lost(self._connection, self._connection.end_error, written=False)
            return
        # What may fail comes first: then nothing has changed.
        clock = self._clock
        if request.deadline < <double>clock.armed:
            clock.watch(request.deadline)
        if len(self._outgoing) == 0:
            self._connection.wake()
        if len(self.free) == 1:
            self.refill()
        stream = self.free.pop()
        request.stream = stream
        request.phase = SENDING
        request.holder = self
        self.in_flight[stream] = request
        self._outgoing.append(request)

    cpdef release(self, Request request, phase):
        """Let `request` go (`Holder`): unsent, its id is free again; sent, its id is an orphan's."""
        stream = request.stream
        if self.in_flight.get(stream) is not request:
            return
        del self.in_flight[stream]
        if phase is SENDING:
            self.free.append(stream)
        else:
            self.orphans.add(stream)
        self._connection.released()

    def take(self):
        """Return the frames of every request that is still wanted; from here on they count as written."""
        cdef list outgoing = self._outgoing
        cdef list frames = []
        cdef Request request
        self._outgoing = []
        for request in outgoing:
            if request.phase is SENDING and request.holder is self:
                if is_gone(request.sink):
                    request.abandon()
                    continue
                request.phase = WAITING
                frames.append((request.stream, request.flags, request.opcode, request.body))
            elif request.phase is DONE:  # the stack may have been at its end when it was to be let go of
                self.release(request, SENDING)
        return frames

    def dispatch(self, list frames):
        """Give each response to its request; raises ProtocolError for one that nothing was asked for."""
        cdef dict in_flight = self.in_flight
        cdef list free = self.free
        cdef list used = self.used
        cdef tuple frame
        cdef Request request
        cdef PyObject* found
        connection = self._connection
        for frame in frames:
            stream = frame[0]
            found = PyDict_GetItem(in_flight, stream)
            if found is not NULL and (<Request>found).phase is WAITING:
                request = <Request>found
                PyDict_DelItem(in_flight, stream)
                if len(free) == 0:
                    free.append(stream)
                else:
                    used.append(stream)
                request.holder = None
                try:
                    request.answered(connection, frame[2], frame[1], frame[3])
                except Exception as bug:
                    spoil(request, bug)
            elif stream in self.orphans:
                self.orphans.discard(stream)
                if len(free) == 0:
                    free.append(stream)
                else:
                    used.append(stream)
            elif stream == EVENTS and frame[2] == OP_EVENT:
                connection.pushed(frame[1], frame[3])
            elif found is not NULL and (<Request>found).phase is DONE:  # as an orphan that could not be made one
                PyDict_DelItem(in_flight, stream)
                if len(free) == 0:
                    free.append(stream)
                else:
                    used.append(stream)
            else:
                raise ProtocolError(
                    f"{connection.name} sent a response (opcode {frame[2]:#04x}) on stream {stream}, "
                    "where nothing was asked"
                )
            if self.closed:
                return

    cdef refill(self):
        """Let the ids be taken that were given back, the first of them first; if there are none, the spare ones."""
        following = self.used or self.spare
        if following is self.used:
            following.reverse()
        self.free[:0] = following
        following.clear()

    def close(self):
        """Take no more part in anything; return what was in flight."""
        cdef Request request
        self.open = False
        self.closed = True
        requests = list(self.in_flight.values())
        for request in requests:
            request.holder = None
        self.in_flight.clear()
        self.orphans.clear()
        self._outgoing.clear()
        return requests


cdef class Target:
    """The connection whose turn it is, for some more requests in a row; see `streams.Target`."""

    cdef Streams _streams
    cdef Py_ssize_t _left
    cdef Py_ssize_t _threshold

    cpdef begin(self, Streams streams, Py_ssize_t count, Py_ssize_t threshold):
        """Send the next `count` requests to `streams`, as long as fewer than `threshold` are in flight there."""
        self._streams = streams
        self._left = count
        self._threshold = threshold

    cpdef bint send(self, Request request) except -1:
        """Send `request` if the turn is not over; return whether it was sent."""
        cdef Streams streams = self._streams
        if streams is None or self._left == 0 or not streams.open or not streams.free:
            return False
        if len(streams.in_flight) >= self._threshold:
            return False
        self._left -= 1
        streams.send(request)
        return True


cdef number_error(error, Py_ssize_t index):
    """Note in an error which statement of a call it is of."""
    if isinstance(error, Error):
        error.index = index


cdef class Entry:
    """One request of a window; see `window.Entry`."""

    cdef readonly Window window
    cdef readonly Py_ssize_t index
    cdef readonly Execution execution

    def __init__(self, Window window, Py_ssize_t index):
        self.window = window
        self.index = index

    def resolve(self, response):
        """Take the response."""
        self.window.end(self, response, None)

    def reject(self, error):
        """Take the error."""
        self.window.end(self, None, error)


cdef class Window:
    """Up to `concurrency` requests under way; see `window.Window`."""

    cdef readonly bint stopped
    cdef readonly Py_ssize_t started
    cdef public Py_ssize_t occupied
    cdef object _executor
    cdef object _router
    cdef Py_ssize_t _concurrency
    cdef object _call
    cdef object _on_ended
    cdef dict _live
    cdef object _statement
    cdef ExecuteTemplate _template
    cdef object _clock_now
    cdef double _now

    def __init__(self, executor, Py_ssize_t concurrency, call, on_ended):
        self._executor = executor
        self._router = executor.router
        self._concurrency = concurrency
        self._call = call
        self._on_ended = on_ended
        self._live = {}
        self._clock_now = executor.parts.now
        self._now = -1.0

    @property
    def is_idle(self):
        """Whether no request is under way."""
        return not self._live

    @property
    def has_room(self):
        """Whether another request may be started."""
        return self.room()

    cdef bint room(self) except -1:
        cdef Py_ssize_t live = len(self._live)
        if live + self.occupied >= self._concurrency:
            return False
        return not (live and len(self._router.queue) and self._router.is_full)

    cpdef Entry start(self, statement, parameters):
        """Start a request. What the caller did wrong is an outcome of the entry like any other."""
        cdef Entry entry
        entry = Entry.__new__(Entry)
        entry.window = self
        entry.index = self.started
        self.started += 1
        self._live[entry.index] = entry
        try:
            if statement is not self._statement:
                self._template = self._executor.template_of(statement, self._call)
                self._statement = statement
            if self._template is not None:
                entry.execution = self._template.start(entry, parameters, self._now)
            else:
                entry.execution = self._executor.start(entry, statement, parameters, self._call)
        except Exception as error:
            self.end(entry, None, error)
        else:
            if self.stopped:
                self.abandon(entry)
        return entry

    cpdef end(self, Entry entry, response, error):
        """Take the outcome of `entry`."""
        if self._live.pop(entry.index, None) is not None:
            try:
                if error is not None:
                    number_error(error, entry.index)
                self._on_ended(entry, response, error)
            except Exception as bug:
                self._on_ended(entry, None, as_error(bug))
                report(bug)

    cpdef stop(self):
        """Start nothing more and abandon what is under way. Idempotent."""
        cdef Entry entry
        live, self._live = self._live, {}
        self.stopped = True
        for entry in live.values():
            self.abandon(entry)

    cdef abandon(self, Entry entry):
        if entry.execution is not None:
            entry.execution.abandon()


cdef class PullingWindow(Window):
    """A window that takes its statements from an iterator; see `window.PullingWindow`."""

    cdef readonly bint exhausted
    cdef object _source
    cdef object _on_error
    cdef bint _pumping
    cdef bint _due
    cdef object _context
    cdef object _fill

    def __init__(self, executor, Py_ssize_t concurrency, call, on_ended, source, on_error):
        Window.__init__(self, executor, concurrency, call, on_ended)
        self._source = source
        self._on_error = on_error
        self._context = copy_context()
        self._fill = self.fill

    @property
    def is_over(self):
        """Whether nothing is under way and nothing will follow."""
        return not self._live and (self.exhausted or self.stopped)

    cdef pump_soon(self):
        """Start requests once the batch of responses that is being read has ended, or now outside any."""
        if self._due:
            return
        if self._router.reading:
            self._due = True
            self._router.after_reading.append(self.pump)
        else:
            self.pump()

    cpdef pump(self):
        """Start requests while there is room."""
        self._due = False
        if self._pumping:
            return
        self._pumping = True
        try:
            self._context.run(self._fill)
        except BaseException as error:  # the iterator's: it is nothing to whoever reads the responses
            self.exhausted = True
            self._on_error(error)
        finally:
            self._pumping = False
            self._now = -1.0
        self.pumped()

    cdef pumped(self):
        """Take note that there is no more room, or nothing more to start."""

    def fill(self):
        """Start requests while there is room, in the context that this is called in."""
        cdef int count = 0
        source = self._source
        while not self.stopped and not self.exhausted and self.room():
            if count % BATCH == 0:
                self._now = self._clock_now()
            count += 1
            try:
                statement, parameters = next(source)
            except StopIteration:
                self.exhausted = True
                return
            self.start(statement, parameters)


cdef class CollectingWindow(PullingWindow):
    """A window that keeps the outcomes in the order of the statements; see `window.CollectingWindow`."""

    cdef readonly list outcomes
    cdef object _pair
    cdef object _make_result
    cdef bint _stop_on_error
    cdef object _on_over
    cdef object _last
    cdef object _last_pair

    def __init__(
        self,
        executor,
        Py_ssize_t concurrency,
        call,
        source,
        *,
        pair,
        make_result,
        bint stop_on_error,
        on_error,
        on_over,
    ):
        PullingWindow.__init__(self, executor, concurrency, call, None, source, on_error)
        self.outcomes = []
        self._pair = pair
        self._make_result = make_result
        self._stop_on_error = stop_on_error
        self._on_over = on_over

    cpdef end(self, Entry entry, response, error):
        """Keep the outcome of `entry` and start what follows."""
        if self._live.pop(entry.index, None) is None:
            return
        if response is not None and response is not self._last:
            try:
                self.take(response, entry.execution)
            except Exception as bug:
                response, error = None, as_error(bug)
                report(bug)
        if response is not None:
            self.keep(entry.index, self._last_pair)
        else:
            number_error(error, entry.index)
            self.keep(entry.index, tuple.__new__(self._pair, (False, error)))
            if self._stop_on_error or not isinstance(error, Exception):
                self._on_error(error)
        if self._live or not self.is_over:
            self.pump_soon()
        else:
            self._on_over()

    cdef take(self, response, execution):
        result = self._make_result(response, execution)
        self._last_pair = tuple.__new__(self._pair, (True, result))
        self._last = response

    cdef pumped(self):
        if not self._live and self.is_over:
            self._on_over()

    cdef keep(self, Py_ssize_t index, outcome):
        cdef list outcomes = self.outcomes
        while len(outcomes) <= index:
            outcomes.append(None)
        outcomes[index] = outcome
