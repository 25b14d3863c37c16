"""What the catalogue says of an engine's options is what the engine takes."""

from __future__ import annotations

import numpy as np
import pytest

import ppl
from ppl.catalogue.engines import ENGINES, Engine

MODEL = """
model m:
    a ~ Normal(0, sd = 1)
    for n in N: y[n] ~ Normal(a, sd = 1)

approximate m:
    use {use}
"""


def fitted(use: str) -> ppl.Posterior:
    return ppl.parse(MODEL.format(use=use)).fit(y=[1.0, 2.0, 3.0])


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: engine.name)
def test_defaults_written_out_change_nothing(engine: Engine) -> None:
    written = ", ".join(f"{name} = {str(value).lower()}" for name, value in engine.defaults.items())
    assert np.array_equal(fitted(f"{engine.name}({written})")["a"].mean, fitted(engine.name)["a"].mean)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: engine.name)
def test_defaults_are_what_options_must_be(engine: Engine) -> None:
    assert all(option.broken(option.default) is None and option.broken(-1) is not None for option in engine.options)


def test_one_chain_is_sampled() -> None:
    posterior = fitted("nuts(chains = 1, draws = 2000)")
    assert posterior["a"].sample(2000, seed=0).shape == (2000,)
    assert abs(posterior["a"].mean - 1.5) < 0.06  # 5 Monte Carlo errors of the exact Normal(1.5, sd = 0.5) at an ESS of 1700


@pytest.mark.parametrize("option", ["seed = 1", "progress = true", 'draws = "many"'])
def test_what_belongs_to_a_fit_is_no_option_of_a_file(option: str) -> None:
    with pytest.raises(ppl.AimError, match="AIM0505"):
        fitted(f"nuts({option})")
