# The cells of the types in `temporal`.

cdef int64_t MIN_MILLISECONDS = -62135596800000
cdef int64_t MAX_MILLISECONDS = 253402300799999
cdef int64_t NANOSECONDS_OF_DAY = 86400000000000
cdef object UTC = timezone.utc

cdef struct Civil:
    int year
    int month
    int day


cdef inline Civil civil_of(int64_t days) noexcept nogil:
    """The day of the Gregorian calendar `days` after 1970-01-01, by cycles of 400 years that begin in March."""
    cdef Civil civil
    cdef int64_t era
    cdef int64_t day
    cdef int64_t year
    cdef int64_t month
    days += 719468
    era = days // 146097
    day = days - era * 146097
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    civil.day = <int>(day - (153 * month + 2) // 5 + 1)
    civil.month = <int>(month + 3 if month < 10 else month - 9)
    civil.year = <int>(year + era * 400 + (civil.month <= 2))
    return civil


cdef inline int64_t days_of(int64_t year, int64_t month, int64_t day) noexcept nogil:
    """The days from 1970-01-01 to a day of the Gregorian calendar, from year 1 on."""
    cdef int64_t of_year
    if month <= 2:
        year -= 1
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + of_year - 719468


@cython.final
cdef class TimestampCell(Cell):
    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef int64_t milliseconds
        cdef int64_t days
        cdef int64_t seconds
        cdef int rest
        cdef Civil civil
        if n != 8:
            return Cell.box(self, p, n)
        milliseconds = <int64_t>read64(p)
        if not MIN_MILLISECONDS <= milliseconds <= MAX_MILLISECONDS:
            return Cell.box(self, p, n)
        milliseconds -= MIN_MILLISECONDS
        days = milliseconds // 86400000
        rest = <int>(milliseconds - days * 86400000)
        seconds = rest // 1000
        civil = civil_of(days - 719162)
        return datetime_new(
            civil.year, civil.month, civil.day,
            <int>(seconds // 3600), <int>(seconds // 60 % 60), <int>(seconds % 60), rest % 1000 * 1000, UTC,
        )

    cdef int write(self, Buffer out, object value) except -1:
        cdef int64_t milliseconds
        if type(value) is not datetime:
            return Cell.write(self, out, value)
        zone = datetime_tzinfo(value)
        if zone is not None and zone is not UTC:
            return Cell.write(self, out, value)
        moment = <datetime>value
        milliseconds = days_of(moment.year, moment.month, moment.day) * 86400000
        milliseconds += ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1000 + moment.microsecond // 1000
        store64(out.room(8), <uint64_t>milliseconds)
        return 0


@cython.final
cdef class DateCell(Cell):
    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef int64_t days
        cdef Civil civil
        if n != 4:
            return Cell.box(self, p, n)
        days = <int64_t>read32(p) - 0x80000000
        if not -719162 <= days <= 2932896:
            return Cell.box(self, p, n)
        civil = civil_of(days)
        return date_new(civil.year, civil.month, civil.day)

    cdef int write(self, Buffer out, object value) except -1:
        if type(value) is not date:
            return Cell.write(self, out, value)
        day = <date>value
        store32(out.room(4), <uint32_t>(days_of(day.year, day.month, day.day) + 0x80000000))
        return 0


@cython.final
cdef class TimeCell(Cell):
    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef int64_t rest
        cdef int64_t seconds
        if n != 8:
            return Cell.box(self, p, n)
        rest = <int64_t>read64(p)
        if not 0 <= rest < NANOSECONDS_OF_DAY or rest % 1000:
            return Cell.box(self, p, n)
        rest //= 1000
        seconds = rest // 1000000
        return time_new(
            <int>(seconds // 3600), <int>(seconds // 60 % 60), <int>(seconds % 60), <int>(rest % 1000000), None
        )

    cdef int write(self, Buffer out, object value) except -1:
        cdef int64_t seconds
        if type(value) is not time:
            return Cell.write(self, out, value)
        moment = <time>value
        if moment.tzinfo is not None:
            return Cell.write(self, out, value)
        seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second
        store64(out.room(8), <uint64_t>((seconds * 1000000 + moment.microsecond) * 1000))
        return 0


cdef object duration_class = Duration
cdef object duration_months = Duration.__dict__["months"]
cdef object duration_days = Duration.__dict__["days"]
cdef object duration_nanoseconds = Duration.__dict__["nanoseconds"]


cdef Py_ssize_t read_vint(const uint8_t* p, Py_ssize_t n, Py_ssize_t at, uint64_t* value) except -1:
    """Read an unsigned integer of variable length at `at`, and return where it ends."""
    cdef int extra = 0
    cdef uint64_t number
    if at >= n:
        raise DecodeError("a variable-length integer goes beyond its value")
    while extra < 8 and p[at] & (0x80 >> extra):
        extra += 1
    if extra >= n - at:
        raise DecodeError("a variable-length integer goes beyond its value")
    number = p[at] & (0xFF >> extra)
    at += 1
    while extra:
        number = number << 8 | p[at]
        at += 1
        extra -= 1
    value[0] = number
    return at


cdef int write_vint(Buffer out, uint64_t value) except -1:
    cdef int extra = 0
    cdef int i
    cdef uint8_t* p
    while extra < 8 and value >> (7 * (extra + 1)):
        extra += 1
    p = out.room(extra + 1)
    for i in range(extra, 0, -1):
        p[i] = <uint8_t>value
        value >>= 8
    p[0] = <uint8_t>((0xFF00 >> extra) | (value if extra < 8 else 0))
    return 0


cdef inline int64_t unzigzag(uint64_t value) noexcept nogil:
    return <int64_t>(value >> 1) ^ -<int64_t>(value & 1)


cdef inline uint64_t zigzag(int64_t value) noexcept nogil:
    return (<uint64_t>value << 1) ^ <uint64_t>(value >> 63)


@cython.final
cdef class DurationCell(Cell):
    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef uint64_t[3] parts
        cdef int64_t months
        cdef int64_t days
        cdef Py_ssize_t at = 0
        cdef int i
        if n == 0:
            return Cell.box(self, p, n)
        for i in range(3):
            at = read_vint(p, n, at, &parts[i])
        months = unzigzag(parts[0])
        days = unzigzag(parts[1])
        if at != n or months != <int32_t>months or days != <int32_t>days:
            return Cell.box(self, p, n)
        value = allocate(<PyTypeObject*>duration_class, 0)
        set_slot(<PyObject*>duration_months, value, months)
        set_slot(<PyObject*>duration_days, value, days)
        set_slot(<PyObject*>duration_nanoseconds, value, unzigzag(parts[2]))
        return value

    cdef int write(self, Buffer out, object value) except -1:
        cdef int64_t months
        cdef int64_t days
        cdef int64_t nanoseconds
        if type(value) is not duration_class or not (
            type(value.months) is int and type(value.days) is int and type(value.nanoseconds) is int
        ):
            return Cell.write(self, out, value)
        months = value.months
        days = value.days
        nanoseconds = value.nanoseconds
        if (months < 0 or days < 0 or nanoseconds < 0) and (months > 0 or days > 0 or nanoseconds > 0):
            return Cell.write(self, out, value)
        write_vint(out, zigzag(months))
        write_vint(out, zigzag(days))
        write_vint(out, zigzag(nanoseconds))
        return 0
