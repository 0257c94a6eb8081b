"""The compiled twin of `bind`: the same name and the same behaviour."""

from triocql.codecs.bind import Binder as Binder
