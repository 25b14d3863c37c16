"""Means beside the reference posteriors of posteriordb, by the default route and by `nuts`.

    python -m tests.benchmarks.posteriordb --references FOLDER [--engines default nuts]

FOLDER holds a JSON file for each posterior, with its data and the means and standard deviations of its parameters, exact ones where it has them. What is printed is the
largest distance of a mean from the reference's, in its standard deviations, with the route, k-hat and CPU time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import ppl


class Case(NamedTuple):
    """A posterior of the database: the model, its data, and which of the references' numbers each variable is beside."""

    text: str
    data: dict[str, str]  # of a variable: the name in the reference
    references: dict[str, tuple[str, int | None]]  # of a variable: the parameter, and its entry


CASES: dict[str, Case] = {
    "Rate_5_data-Rate_5_model": Case(
        """
model rate(n1: size, n2: size):
    theta ~ Beta(1, 1)
    k1 ~ Binomial(n1, theta)
    k2 ~ Binomial(n2, theta)
    postpredk1 ~ Binomial(n1, theta)
    postpredk2 ~ Binomial(n2, theta)
""",
        {name: name for name in ("n1", "n2", "k1", "k2")},
        {name: (name, None) for name in ("theta", "postpredk1", "postpredk2")},
    ),
    "earnings-logearn_height_male": Case(
        """
model earnings():
    input height: real[N]
    input male: real[N]
    b0 ~ Flat()
    b1 ~ Flat()
    b2 ~ Flat()
    sigma ~ HalfFlat()
    for n in N:
        log_earn[n] ~ Normal(b0 + b1 * height[n] + b2 * male[n], sd = sigma)
""",
        {"height": "height", "male": "male", "log_earn": "log earn"},
        {"b0": ("beta", 0), "b1": ("beta", 1), "b2": ("beta", 2), "sigma": ("sigma", None)},
    ),
    "eight_schools-eight_schools_noncentered": Case(
        """
model schools():
    input sigma: real[J]
    mu ~ Normal(0, sd = 5)
    tau ~ HalfCauchy(5)
    for j in J:
        theta[j] ~ Normal(mu, sd = tau)
        y[j] ~ Normal(theta[j], sd = sigma[j])
""",
        {"sigma": "sigma", "y": "y"},
        {name: (name, None) for name in ("theta", "mu", "tau")},
    ),
    "kidiq-kidscore_momiq": Case(
        """
model kidiq():
    input iq: real[N]
    b0 ~ Flat()
    b1 ~ Flat()
    sigma ~ HalfCauchy(2.5)
    for n in N:
        score[n] ~ Normal(b0 + b1 * iq[n], sd = sigma)
""",
        {"iq": "mom_iq", "score": "kid_score"},
        {"b0": ("beta", 0), "b1": ("beta", 1), "sigma": ("sigma", None)},
    ),
    "radon_mn-radon_partially_pooled_centered": Case(
        """
model radon():
    input county: J[N]
    sigma_y ~ HalfNormal(1)
    sigma_alpha ~ HalfNormal(1)
    mu_alpha ~ Normal(0, sd = 10)
    for j in J:
        alpha[j] ~ Normal(mu_alpha, sd = sigma_alpha)
    for n in N:
        log_radon[n] ~ Normal(alpha[county[n]], sd = sigma_y)
""",
        {"county": "county_idx from 0", "log_radon": "log_radon"},
        {name: (name, None) for name in ("alpha", "mu_alpha", "sigma_alpha", "sigma_y")},
    ),
    "wells_data-wells_dist100_model": Case(
        """
model wells():
    input dist: real[N]
    alpha ~ Flat()
    beta ~ Flat()
    for n in N:
        switched[n] ~ Bernoulli(logit = alpha + beta * dist[n] / 100)
""",
        {"dist": "dist", "switched": "switched"},
        {"alpha": ("alpha", None), "beta": ("beta", 0)},
    ),
}


def value(data: Mapping[str, Any], name: str) -> Any:
    """The data of this name: logarithms of it after `log`, counted from 0 before `from 0`."""
    if name.startswith("log "):
        return np.log(np.asarray(data[name.removeprefix("log ")], float))
    if name.endswith(" from 0"):
        return np.asarray(data[name.removesuffix(" from 0")]) - 1
    return np.asarray(data[name]) if isinstance(data[name], list) else data[name]


def measured(name: str, told: Mapping[str, Any], engine: str) -> str:
    case = CASES[name]
    model, asked = ppl.parse(case.text), None if engine == "default" else engine
    clock = time.process_time()
    posterior = model.fit({mine: value(told["data"], theirs) for mine, theirs in case.data.items()}, engine=asked)
    known = told.get("exact") or told["params"]
    errors: dict[str, float] = {}
    for mine, (theirs, entry) in case.references.items():
        reference = {k: np.asarray(known[theirs][k])[slice(None) if entry is None else [entry]] for k in ("mean", "sd")}
        errors[mine] = float(np.max(np.abs(np.ravel(posterior[mine].mean) - reference["mean"]) / reference["sd"]))
    worst = max(errors, key=lambda n: errors[n])
    k_hat = "" if posterior.told_khat is None else f", k-hat {posterior.told_khat:.2f}"
    seconds = time.process_time() - clock
    return f"{engine}: {errors[worst]:.3f} sd (`{worst}`), {posterior.engine}{', exact' if posterior.exact else ''}{k_hat}, {seconds:.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--references", type=Path, required=True)
    parser.add_argument("--engines", nargs="+", default=["default", "nuts"])
    options = parser.parse_args()
    for name in CASES:
        told = json.loads((options.references / f"{name}.json").read_text(encoding="utf-8"))
        for engine in options.engines:
            print(name, "|", measured(name, told, engine), flush=True)


if __name__ == "__main__":
    main()
