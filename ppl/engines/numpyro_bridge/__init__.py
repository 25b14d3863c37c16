"""NumPyro behind one place: any model runs by gradients, sampling and enumeration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
) -> Posterior:
    """The posterior by `nuts`, `svi` or `laplace`. Raises AimError where a statement or an option cannot be served."""
    from ppl.engines.numpyro_bridge.fitting import fit_bound

    return fit_bound(bound, engine, seed=seed, dtype=dtype, options=options, approximation=approximation, reasons=reasons)


def to_numpyro(bound: BoundModel) -> Callable[[], None]:
    """The model with its data as a NumPyro callable without arguments; `model.py` says what its sites are."""
    from ppl.engines.numpyro_bridge.model import numpyro_model

    return numpyro_model(bound)
