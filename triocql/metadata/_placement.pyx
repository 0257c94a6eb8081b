# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=False
"""Which nodes are the replicas of each range of a ring, compiled: `placement` is its pure twin.

What are ordered dicts there are links between indexes here.
"""

from cpython cimport array
from libc.string cimport memcpy

from array import array as new_array

from triocql.metadata.placement import groups_of


cdef array.array numbers(Py_ssize_t size):
    return array.clone(new_array("i"), size, zero=True)


cdef class Links:
    """Lists of indexes, to whose fronts they can be moved. The index that a list begins with is that of the list."""

    cdef array.array _after, _before
    cdef int* after
    cdef int* before

    def __cinit__(self, Py_ssize_t size):
        cdef Py_ssize_t index
        self._after, self._before = numbers(size), numbers(size)
        self.after, self.before = self._after.data.as_ints, self._before.data.as_ints
        for index in range(size):  # each one is alone
            self.after[index] = self.before[index] = <int>index

    cdef void to_front(self, int index, int head) noexcept:
        self.after[self.before[index]] = self.after[index]
        self.before[self.after[index]] = self.before[index]
        self.after[index] = self.after[head]
        self.before[index] = head
        self.before[self.after[head]] = index
        self.after[head] = index


cdef class Placement:
    """Places the replicas of all ranges of a ring, some at a time; see `placement.Placement`."""

    cdef readonly array.array table
    cdef readonly Py_ssize_t width
    cdef Py_ssize_t _size, _left, _looked
    cdef int _nodes, _racks, _groups, _seen, _merged
    cdef array.array _owners
    cdef list _kept  # what these are within
    cdef int* _ahead  # the nodes, as they come from the first range on
    cdef int* _met  # where each node comes next, on the way from the range that was come to
    cdef int* _group  # of each node, or -1
    cdef int* _rack  # of each node
    cdef int* _first  # the first node of each rack
    cdef int* _listed  # of each group, as the next two
    cdef int* _others
    cdef int* _start  # where its replicas are
    cdef int* _chosen  # the replicas of each group for the range that was come to
    cdef int* _row  # those of all groups, in the order in which they come
    cdef int* _spare  # the next row
    cdef Links _by_node, _by_rack  # in both, the lists of the groups come behind all else

    # Not by `__init__`: whoever has it called again, what is pointed to has the sizes that it was made with.
    def __cinit__(self, tuple nodes not None, owners, strategy):
        self._owners = new_array("I", owners)  # a copy: whoever has the other may change it
        self._size = len(self._owners)
        groups = groups_of(nodes, self._size, strategy)
        self._nodes = len(nodes)
        self._groups = len(groups)
        self._kept = []
        self._ahead = self._room(self._nodes)
        self._met = self._room(self._nodes)
        self._group = self._room(self._nodes)
        self._rack = self._room(self._nodes)
        self._first = self._room(self._nodes)
        self._listed = self._room(self._groups)
        self._others = self._room(self._groups)
        self._start = self._room(self._groups)
        self._take(groups)
        self._chosen = self._room(self.width)
        self._row = self._room(self.width)
        self._spare = self._room(self.width)
        self._by_node = Links(self._nodes + self._groups)
        self._by_rack = Links(self._racks + self._groups)
        self.table = new_array("I")
        self._left = self._size if self.width else 0

    cdef int* _room(self, Py_ssize_t size) except NULL:
        cdef array.array made = numbers(size + 1)
        self._kept.append(made)
        return made.data.as_ints

    cdef _take(self, list groups):
        cdef int index, node
        for node in range(self._nodes):
            self._group[node] = self._met[node] = -1
        for index in range(self._groups):
            members, self._listed[index], self._others[index] = groups[index]
            self._start[index] = <int>self.width
            self.width += self._listed[index]
            racks = {}
            for node, name in members.items():
                self._group[node] = index
                self._rack[node] = racks.setdefault(name, self._racks + len(racks))
            self._racks += len(racks)

    def advance(self, Py_ssize_t ranges):
        """Place the replicas of some more ranges. Returns whether there are more to place."""
        cdef Py_ssize_t position, end, done
        cdef unsigned int* out
        if self._left == 0:
            return False
        ranges = max(min(ranges, self._size), 0)
        if self._looked < self._size:
            self._look_ahead(min(self._looked + ranges, self._size))
            return True
        end = max(self._left - ranges, 0)
        done = len(self.table)
        array.resize_smart(self.table, done + (self._left - end) * self.width)
        out = self.table.data.as_uints + done
        for position in range(self._left - 1, end - 1, -1):
            self._step(self._owner(position), <int>position)
            memcpy(out, self._row, self.width * sizeof(int))
            out += self.width
        self._left = end
        return end > 0

    cdef int _owner(self, Py_ssize_t position) except -1:
        cdef unsigned int node = self._owners.data.as_uints[position]
        if node >= <unsigned int>self._nodes:
            raise IndexError(f"range {position} is that of node {node} of {self._nodes}")
        return <int>node

    cdef _look_ahead(self, Py_ssize_t end):
        """Walk forward from the first range until each node has come: from the end of the ring on, they come so."""
        cdef int node, index
        cdef Py_ssize_t position
        for position in range(self._looked, end):
            node = self._owner(position)
            if self._met[node] < 0:
                self._met[node] = <int>(self._size + position)
                self._ahead[self._seen] = node
                self._seen += 1
        self._looked = self._size if self._seen == self._nodes else end
        if self._looked == self._size:
            for index in range(self._seen - 1, -1, -1):
                self._meet(self._ahead[index])
            for index in range(self._groups):
                self._choose(index)
                self._merge(index)

    cdef void _step(self, int node, int position) noexcept:
        if self._group[node] >= 0:
            self._met[node] = position
            self._meet(node)
            self._choose(self._group[node])
            self._merge(self._group[node])

    cdef void _meet(self, int node) noexcept:
        cdef int group = self._group[node]
        if group >= 0:
            self._first[self._rack[node]] = node
            self._by_node.to_front(node, self._nodes + group)
            self._by_rack.to_front(self._rack[node], self._racks + group)

    cdef void _choose(self, int group) noexcept:
        cdef int* out = self._chosen + self._start[group]
        cdef int listed = self._listed[group]
        cdef int others = self._others[group]
        cdef int count = 0
        cdef int node = self._by_node.after[self._nodes + group]
        cdef int rack = self._by_rack.after[self._racks + group]
        if others:
            while count < listed and node < self._nodes:
                if self._first[self._rack[node]] == node:
                    rack = self._by_rack.after[rack]
                elif others:
                    others -= 1
                else:
                    break
                out[count] = node
                count += 1
                node = self._by_node.after[node]
        while count < listed and rack < self._racks:
            out[count] = self._first[rack]
            count += 1
            rack = self._by_rack.after[rack]

    cdef void _merge(self, int group) noexcept:
        """Put the replicas of a group into the row, in place of those that it had there."""
        cdef int* chosen = self._chosen + self._start[group]
        cdef int* end = chosen + self._listed[group]
        cdef int* old = self._row
        cdef int* old_end = old + self._merged
        cdef int count = 0
        while count < self.width:
            while old < old_end and self._group[old[0]] == group:
                old += 1
            if chosen < end and (old == old_end or self._met[chosen[0]] < self._met[old[0]]):
                self._spare[count] = chosen[0]
                chosen += 1
            elif old < old_end:
                self._spare[count] = old[0]
                old += 1
            else:
                break
            count += 1
        self._row, self._spare = self._spare, self._row
        self._merged = count
