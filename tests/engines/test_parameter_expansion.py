"""Parameter expansion leaves the model and its optimum as they are, and gets there sooner."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ppl
from ppl.compiler.plan import Plan
from ppl.compiler.program import Program, make_program
from ppl.engines.precision import with_precision
from ppl.engines.starts import starting_points
from ppl.engines.vmp import compiler_options
from ppl.families import gaussian_chain

PPCA = """model m(K: size = 2):
    tau ~ Gamma(1, 1)
    for d in D, k in K: W[d, k] ~ Normal(0, sd = 2)
    for d in D: b[d] ~ Normal(0, sd = 10)
    for n in N:
        for k in K: z[n, k] ~ Normal(0, sd = 1)
        for d in D: y[n, d] ~ Normal(dot(W[d], z[n]) + b[d], precision = tau)
"""
ARD = """model m(K: size = 4):
    tau ~ Gamma(1e-2, rate = 1e-2)
    for k in K: alpha[k] ~ Gamma(1e-2, rate = 1e-2)
    for d in D, k in K: W[d, k] ~ Normal(0, precision = alpha[k])
    for n in N, k in K: x[n, k] ~ Normal(0, 1)
    for n in N, d in D: y[n, d] ~ Normal(dot(W[d], x[n]), precision = tau)
"""
PRIORS = """model m(K: size = 3):
    tau ~ Gamma(1e-2, rate = 1e-2)
    for k in K:
        alpha[k] ~ Gamma(1e-2, rate = 1e-2)
        gamma[k] ~ Gamma(1e-2, rate = 1e-2)
    for i in K, j in K: A[i, j] ~ Normal(0, precision = alpha[j])
    for d in D, k in K: C[d, k] ~ Normal(0, precision = gamma[k])
"""
OBSERVED = "    for n in N, d in D: y[n, d] ~ Normal(dot(C[d], x[n]), precision = tau)\n"
MATRIX = "    x[0] ~ MvNormal(zeros(K), cov = eye(K))\n    for n in 1..N: x[n] ~ MvNormal(A @ x[n - 1], cov = eye(K))\n"
ROWS = "    for k in K: x[0, k] ~ Normal(0, 1)\n    for n in 1..N, k in K: x[n, k] ~ Normal(dot(A[k], x[n - 1]), sd = 1)\n"
SCALE = """model m:
    for d in D: w[d] ~ Normal(0, 1)
    for n in N: z[n] ~ Normal(0, 3)
    for n in N, d in D: y[n, d] ~ Normal(w[d] * z[n], 0.5)
"""
MODELS = {"PPCA": PPCA, "ARD": ARD, "LSSM": PRIORS + MATRIX + OBSERVED, "LSSM by rows": PRIORS + ROWS + OBSERVED, "scale": SCALE}
EXPANDED = {
    "PPCA": "2 × 2 rotations of W, z",
    "ARD": "4 × 4 rotations of W, x",
    "LSSM": "3 × 3 rotations of A, C, x",
    "LSSM by rows": "3 × 3 rotations of A, C, x",
    "scale": "scale of w, z",
}


def data_of(members: int = 60, columns: int = 8) -> np.ndarray:
    """Two slow oscillations seen through random loadings."""
    rng = np.random.default_rng(3)
    angle = 0.3 * np.arange(members)
    hidden = 3.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return hidden @ rng.normal(size=(2, columns)) + 0.5 * rng.normal(size=(members, columns))


def fitted(text: str, options: str = "", **settings: Any) -> Any:
    return ppl.parse(text + f"\napproximate m:\n    use vmp({options})\n").fit(y=data_of(), **settings)


def plan_of(text: str, **more: Any) -> Plan:
    plan = ppl.parse(text).explain(y=data_of(), **more)
    assert isinstance(plan, Plan)
    return plan


def turned_after(plan: Plan, sweeps: int) -> tuple[Program, list[tuple[Any, list[Any], Any]]]:
    """A program, and its state, energies and bound after a few sweeps without expansion, before and after one expansion."""
    program = make_program(plan.latents, plan.blocks, plan.factors, expansions=plan.expansions)
    labels = starting_points(plan, np.random.default_rng(1))

    def both(data: Any) -> list[tuple[Any, list[Any], Any]]:
        messages = program.prepare(data)
        state = jax.lax.fori_loop(
            1, sweeps, lambda _, s: program.sweep(s, data, messages), program.sweep(program.start(data, labels), data, messages)
        )
        states = [state, program.expanded(state, data)]
        return [(s, program.factor_energies(s, data, messages), program.bound(s, data, messages)) for s in states]

    compiled = jax.jit(both).lower(program.data).compile(compiler_options=compiler_options())
    return program, compiled(program.data)


@pytest.mark.parametrize("name", MODELS)
def test_explain_tells_the_expansion_and_the_switch_turns_it_off(name: str) -> None:
    assert f"parameter expansion: {EXPANDED[name]}" in str(plan_of(MODELS[name]))
    switched = plan_of(MODELS[name] + "\napproximate m:\n    use vmp(expansion = false)\n")
    assert switched.expansions == () and "expansion" not in str(switched)


@pytest.mark.parametrize("name", MODELS)
def test_a_turned_state_is_consistent_and_no_likelihood_sees_it(name: str) -> None:
    plan = plan_of(MODELS[name])
    double = np.dtype(np.float64)

    def check() -> None:
        program, ((_, energies, bound), (turned, new_energies, new_bound)) = turned_after(plan, 3)
        for one, former, new in zip(program.data.factors, energies, new_energies, strict=True):
            if one.label.startswith("y ~"):
                assert float(new) == pytest.approx(float(former), rel=1e-9)
        assert float(new_bound) > float(bound) + 1e-6
        for block in program.layout.blocks.values():
            moments, natural = turned["moments"][block.name], turned["natural"][block.name]
            if block.chain is not None:
                again = gaussian_chain.moments(natural["diagonal"], natural["coupling"], jnp.zeros(natural["diagonal"].shape[:-1]))
                np.testing.assert_allclose(moments["cov"], again.covariance, rtol=1e-7, atol=1e-10)
                np.testing.assert_allclose(moments["cross"], again.cross, rtol=1e-7, atol=1e-10)
            elif block.positions:
                ones = np.broadcast_to(np.eye(block.size), moments["cov"].shape)
                np.testing.assert_allclose(moments["cov"] @ natural["precision"], ones, atol=1e-8)
            entropy = turned["entropy"][block.name]
            assert float(entropy) == pytest.approx(_entropy(program, block, moments, natural), rel=1e-9, abs=1e-9)

    with_precision(double, check)()


def _entropy(program: Program, block: Any, moments: Any, natural: Any) -> float:
    """By the block's own natural parameters."""
    if block.chain is not None:
        steps, width = natural["diagonal"].shape[-3:-1]
        value = gaussian_chain.moments(natural["diagonal"], natural["coupling"], jnp.zeros((steps, width))).log_partition
        return float(value) + 0.5 * steps * width
    if block.positions:
        members = np.prod(block.batch, dtype=int) // np.prod(np.shape(moments["cov"])[:-2], dtype=int)
        sign, logdet = np.linalg.slogdet(np.asarray(moments["cov"]))
        assert (sign > 0).all()
        numbers = np.prod(block.batch, dtype=int) * block.size
        return 0.5 * float(members * logdet.sum() + numbers * (1.0 + np.log(2.0 * np.pi)))
    from ppl.families.registry import FAMILIES

    return float(FAMILIES[block.kind].entropy(natural).sum())


@pytest.mark.parametrize("name", ["ARD", "LSSM", "scale"])
def test_the_bound_rises_and_is_as_high_in_far_fewer_sweeps(name: str) -> None:
    plain = fitted(MODELS[name], "expansion = false", iterations=600, tolerance=0)
    quick = fitted(MODELS[name], iterations=60, tolerance=0)
    assert (np.diff(quick.elbo_trace) > -1e-9 * np.abs(quick.elbo_trace[1:])).all()
    assert quick.elbo > plain.elbo - 1e-3
    reached = np.argmax(plain.elbo_trace > plain.elbo - 0.1), np.argmax(quick.elbo_trace > plain.elbo - 0.1)
    assert 3 * reached[1] < reached[0]


def test_the_answer_is_a_fixed_point_of_the_plain_sweep() -> None:
    quick = fitted(ARD)
    assert quick.status == "converged"
    plan = quick.plan
    reporter: Any = quick.believe.__wrapped__.__self__ if hasattr(quick.believe, "__wrapped__") else quick.believe.__self__
    run = reporter.run

    def moved(state: Any, data: Any) -> Any:
        return run.program.movement(run.program.sweep(state, data, run.messages), state)

    def compiled() -> float:
        ready = jax.jit(moved).lower(run.state, run.program.data).compile(compiler_options=compiler_options())
        return float(ready(run.state, run.program.data))

    assert plan.expansions and with_precision(np.dtype(np.float64), compiled)() < 1e-4


@pytest.mark.parametrize(
    ("changed", "data"),
    [
        (PRIORS + MATRIX + OBSERVED + "    for n in N: s[n] ~ Normal(x[n, 0], 1)\n", {"s": np.ones(60)}),  # one entry has a sensor
        (PPCA.replace("W[d, k] ~ Normal(0, ", "W[d, k] ~ Normal(1, ").replace("z[n, k] ~ Normal(0, ", "z[n, k] ~ Normal(1, "), {}),
        (PPCA.replace("dot(W[d], z[n])", "dot(W[d], z[n]) + z[n, 0]"), {}),
        (SCALE.replace("w[d] * z[n]", "w[d] * z[n] + w[d]"), {}),
        (SCALE.replace("w[d] * z[n]", "0.1 * w[d] + 0.1 * z[n]"), {}),
    ],
)
def test_nothing_is_expanded_where_a_statement_sees_it(changed: str, data: dict[str, np.ndarray]) -> None:
    assert plan_of(changed, **data).expansions == ()
