"""The reactors of triocql, installed as ``triocql.reactors``: one module an event loop, one contract for all."""

if __name__ != "triocql.reactors":
    raise ImportError(
        "the folder 'reactors' is the package 'triocql.reactors'; import that instead of 'reactors' "
        "(it was found because the project's checkout is on sys.path)"
    )

from .current import ReactorName, running_loop, select

__all__ = ["ReactorName", "running_loop", "select"]
