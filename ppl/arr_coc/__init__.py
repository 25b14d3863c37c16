"""Relevance of the patches of an image to a query, and how many tokens each is worth: models of `models/arr_coc` at work.

    allocation = ppl.arr_coc.allocate("cat.png", query=[60, 110, 190, 260], budget=20_000)
    allocation.tokens

Images need the extra `vision`; JAX is imported when something is fitted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppl.arr_coc.allocation import Allocation as Allocation
    from ppl.arr_coc.planning import allocate as allocate
    from ppl.arr_coc.planning import stream as stream
    from ppl.images.cues import Features as Features
    from ppl.images.cues import features as features

__all__ = ["Allocation", "Features", "allocate", "features", "stream"]

_HOMES = {
    "Allocation": "ppl.arr_coc.allocation",
    "Features": "ppl.images.cues",
    "allocate": "ppl.arr_coc.planning",
    "features": "ppl.images.cues",
    "stream": "ppl.arr_coc.planning",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ppl.arr_coc' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
