"""ppl: generative models in `.aim` files, and inference that follows from them.

    posterior = ppl.load("models/basics/coin.aim").fit(x=[1, 0, 1, 1])

Names are found when they are first used, so that importing the package is cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppl import arr_coc as arr_coc
    from ppl.agent import Agent as Agent
    from ppl.api import compare as compare
    from ppl.api import load as load
    from ppl.api import open_posterior as open_posterior
    from ppl.api import parse as parse
    from ppl.model import Model as Model
    from ppl.results.belief import Belief as Belief
    from ppl.results.posterior import Posterior as Posterior
    from ppl.source.diagnostics import AimError as AimError
    from ppl.source.diagnostics import Diagnostic as Diagnostic

__version__ = "0.1.0"
__all__ = ["Agent", "AimError", "Belief", "Diagnostic", "Model", "Posterior", "arr_coc", "compare", "load", "open_posterior", "parse"]

_HOMES = {
    "Agent": "ppl.agent",
    "AimError": "ppl.source.diagnostics",
    "Belief": "ppl.results.belief",
    "Diagnostic": "ppl.source.diagnostics",
    "Model": "ppl.model",
    "Posterior": "ppl.results.posterior",
    "compare": "ppl.api",
    "load": "ppl.api",
    "load_ipython_extension": "ppl.tools.notebook",  # what `%load_ext ppl` calls
    "open_posterior": "ppl.api",
    "parse": "ppl.api",
}


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    import importlib

    if name == "arr_coc":  # a package of its own
        return importlib.import_module("ppl.arr_coc")
    if name not in _HOMES:
        raise AttributeError(f"module 'ppl' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
