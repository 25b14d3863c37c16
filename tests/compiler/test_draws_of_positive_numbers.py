"""Draws of a positive number that has no named family."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import jax
import numpy as np

from ppl.compiler.numeric_kind import Numeric
from ppl.compiler.sampled import drawn
from ppl.engines.precision import with_precision
from ppl.families.numeric import Positive


def test_a_draw_is_where_the_distribution_function_is_the_uniform_number() -> None:
    """The same uniform numbers by NumPy's interpolation: two members with different densities."""
    family, key = Positive(), jax.random.key(3)
    natural = {"log": np.array([-9.0, 2.0]), "inverse_squared": np.array([-20.0, -0.3]), "mean": np.array([-0.1, -2.0])}
    parts: dict[str, Any] = {"natural": natural, "moments": natural}

    def both() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        values, point = drawn(Numeric(family), cast("Any", SimpleNamespace(variables=("x",))), {}, parts, key)
        return np.asarray(values["x"]), np.asarray(jax.random.uniform(key, (2, 1)))[:, 0], {k: np.asarray(v) for k, v in point.items()}

    found, uniform, point = with_precision(np.float64, both)()
    nodes = {k: np.asarray(v) for k, v in with_precision(np.float64, family.params_from)(natural).items()}
    below = np.cumsum(nodes["mass"], axis=-1) - 0.5 * nodes["mass"]
    expected = [np.exp(np.interp(uniform[i], below[i], nodes["log_nodes"][i])) for i in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(point["inverse_squared"], found**-2, rtol=1e-12)
