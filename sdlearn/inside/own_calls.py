"""Which calls of a model belong to a `with` block, when several users share the model.

An explorer may generate in the background while a cell records attention on the same model. Each
`with` block that watches or changes layers therefore has a token in a context variable (PEP 567),
and its hooks act only on calls that are made where this token is set. Other threads, and the
explorers' jobs, run in contexts of their own: they get the plain model. A thread of your own sees
the block when it is started with `contextvars.copy_context().run`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_OPEN_BLOCKS: ContextVar[frozenset[object]] = ContextVar("open_blocks", default=frozenset())


@contextmanager
def own_calls() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether the running call was made inside of this block.

    Blocks may be closed in any order, and in another context than the one that opened them, as
    happens to a generator that is dropped half way.
    """
    token = object()
    _OPEN_BLOCKS.set(_OPEN_BLOCKS.get() | {token})
    try:
        yield lambda: token in _OPEN_BLOCKS.get()
    finally:
        _OPEN_BLOCKS.set(_OPEN_BLOCKS.get() - {token})
