"""NumPyro behind one place: any model runs by gradients, sampling and enumeration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppl.engines.numpyro_bridge.joint import Beside
    from ppl.graph.bound import BoundModel
    from ppl.results.posterior import Posterior
    from ppl.semantics.typed import Approximation


def fit(
    bound: BoundModel,
    engine: str,
    *,
    seed: int = 0,
    dtype: Any = None,
    options: Mapping[str, Any] | None = None,
    approximation: Approximation | None = None,
    reasons: tuple[str, ...] = (),
    beside: Beside | None = None,
) -> Posterior:
    """The posterior by `nuts`, `svi` or `laplace`, with the log density `beside` added to that of the statements.

    Raises AimError where a statement or an option cannot be served.
    """
    from ppl.engines.numpyro_bridge.fitting import fit_bound

    given: dict[str, Any] = {"options": options, "approximation": approximation, "reasons": reasons, "beside": beside}
    return fit_bound(bound, engine, seed=seed, dtype=dtype, **given)


def to_numpyro(bound: BoundModel, beside: Beside | None = None) -> Callable[[], None]:
    """The model with its data as a NumPyro callable without arguments; `model.py` says what its sites are."""
    from ppl.engines.numpyro_bridge.model import numpyro_model

    return numpyro_model(bound, beside)


def values_inside(bound: BoundModel, count: int, seed: int) -> list[dict[str, Any]]:
    """Values of all that is random in a model, well inside of their supports: arrays by name."""
    from ppl.engines.numpyro_bridge.starts import values_inside

    return values_inside(bound, count, seed)
