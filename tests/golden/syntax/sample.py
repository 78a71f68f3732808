"""Module."""
import os, sys as system
from .helper import (compute, other as o)
from __future__ import annotations
LIMIT: int = 10
first, second = 1, 2


@decorate(LIMIT)
class Shape(Base):
    """A shape."""

    count = 0

    def area(self, x=1, *rest, **more):
        """Gives it."""
        local = compute(self.side)
        return [local * each for each in rest]

    @property
    async def name(self): return more


def top(a: int) -> Shape:
    def inner(): return os.path.join(a)
    global LIMIT
    with open(a) as file:
        LIMIT = file
    return inner() or (lambda z: z + 1)
