"""Plans: which variables share a block, what is exact, what is refused, and which short cuts a program takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ppl
from ppl.compiler.discrete_networks import DiscreteNetwork
from ppl.compiler.hoisting import hoist
from ppl.compiler.plan import Plan
from ppl.compiler.program import make_program
from tests.reference.models import CASES, SPREAD, X, Y, source

LONG = np.random.default_rng(3).normal(size=40)


def plan(text: str, *, header: str = "model m", after: str = "", engine: str | None = "vmp", **data: Any) -> Plan:
    return ppl.parse(source(text, header) + after, "m").explain(engine=engine, **data)


def blocks(one: Plan) -> set[frozenset[str]]:
    return {frozenset(b.variables) for b in one.blocks}


MEETINGS: dict[str, tuple[str, dict[str, Any], list[set[str]]]] = {
    "normals that meet in one mean": ("a ~ Normal(0, 1)\nb ~ Normal(0, 1)\nx ~ Normal(a + b, 1)", {"x": 1.0}, [{"a", "b"}]),
    "a normal and its normal mean": ("a ~ Normal(0, 1)\nb ~ Normal(a, 1)\nx ~ Normal(b, 1)", {"x": 1.0}, [{"a", "b"}]),
    "normals that never meet": (
        "a ~ Normal(0, 1)\nb ~ Normal(0, 1)\nx ~ Normal(a, 1)\ny ~ Normal(b, 1)",
        {"x": 1.0, "y": 2.0},
        [{"a"}, {"b"}],
    ),
    "a mean and a precision": ("m ~ Normal(0, 1)\nt ~ Gamma(1, 1)\nx ~ Normal(m, precision = t)", {"x": 1.0}, [{"m"}, {"t"}]),
    "discrete parents of one child": (
        "a ~ Bernoulli(0.5)\nb ~ Bernoulli(0.5)\nx ~ Bernoulli([[0.1, 0.2], [0.3, 0.9]][a, b])",
        {"x": 1},
        [{"a", "b"}],
    ),
    "discrete variables of one plate at one member": (
        "for n in N:\n    a[n] ~ Bernoulli(0.5)\n    b[n] ~ Bernoulli(if a[n] == 1 then 0.9 else 0.2)\n"
        "    x[n] ~ Bernoulli(if b[n] == 1 then 0.9 else 0.2)",
        {"x": [1, 0]},
        [{"a", "b"}],
    ),
    "a label and its component": (
        "for k in K: mu[k] ~ Normal(0, 1)\nfor n in N:\n    z[n] ~ Categorical([0.5, 0.5])\n    x[n] ~ Normal(mu[z[n]], 1)",
        {"x": SPREAD, "K": 2},
        [{"mu"}, {"z"}],
    ),
}


@pytest.mark.parametrize("name", MEETINGS)
def test_what_meets_shares_a_block_and_nothing_else_does(name: str) -> None:
    text, data, wanted = MEETINGS[name]
    assert blocks(plan(text, **data)) == {frozenset(b) for b in wanted}


def test_few_members_that_meet_crosswise_are_one_network() -> None:
    text = (
        "input g: N[N]\nfor n in N:\n    z[n] ~ Bernoulli(0.4)\n    w[n] ~ Bernoulli(if z[n] == 1 then 0.9 else 0.3)\n"
        "for n in N:\n    x[n] ~ Bernoulli([[0.9, 0.5], [0.2, 0.6]][z[n], w[g[n]]])"
    )
    one = plan(text, g=[1, 2, 0], x=[0, 1, 1])
    assert one.exact
    assert blocks(one) == {frozenset({"z", "w"})}


def test_a_long_chain_of_discrete_variables_makes_no_huge_table() -> None:
    lines = ["z0 ~ Bernoulli(0.5)", *(f"z{k} ~ Bernoulli(if z{k - 1} == 1 then 0.9 else 0.2)" for k in range(1, 24))]
    one = plan("\n".join([*lines, "x ~ Bernoulli(if z23 == 1 then 0.9 else 0.2)"]), x=1)
    (block,) = one.blocks
    assert one.exact
    assert isinstance(block.structure, DiscreteNetwork)
    assert block.structure.largest_table == 4


def test_the_blocks_that_are_asked_for_are_those_of_the_plan() -> None:
    text = "a ~ Normal(0, 1)\nb ~ Normal(0, 1)\nx ~ Normal(a + b, 1)"
    one = plan(text, after="approximate m:\n    q(a) q(b)\n", x=1.0, engine=None)
    assert blocks(one) == {frozenset({"a"}), frozenset({"b"})}
    assert not one.exact


def test_members_of_a_plate_that_never_meet_are_kept_apart() -> None:
    (block,) = plan(
        "for j in J, n in N:\n    x[j, n] ~ Normal(mu[j], 1)".replace("for j", "for j in J: mu[j] ~ Normal(0, 1)\nfor j", 1),
        x=[[1.0], [2.0]],
    ).blocks
    assert (block.batch, block.size) == ((2,), 1)
    (joint,) = plan("for d in D: w[d] ~ Normal(0, 1)\ninput X: real[N, D]\nfor n in N: y[n] ~ Normal(dot(X[n], w), 1)", X=X, y=Y).blocks
    assert (joint.batch, joint.size) == ((), 2)


@pytest.mark.parametrize("name", CASES)
def test_a_plan_is_exact_where_no_statement_joins_two_blocks(name: str) -> None:
    case = CASES[name]
    header = "model m(K: size = 2)" if "K" in case.data else "model m"
    one = plan(case.text, header=header, **{k: v for k, v in case.data.items() if k != "K"})
    assert one.exact == case.exact
    assert str(one)


def test_the_states_of_few_discrete_variables_are_summed_over_without_being_asked() -> None:
    text = "a ~ Normal(0, 1)\nz ~ Bernoulli(0.4)\nfor n in N: x[n] ~ Normal(if z == 1 then a else 0, 1)"
    one = plan(text, engine=None, x=SPREAD)
    assert one.exact
    assert one.branches == ("z",)
    assert not plan(text, engine="vmp", x=SPREAD).exact


def test_what_is_exact_given_observed_labels_is_exact() -> None:
    """The members whose label says p touch q by nothing."""
    text = "p ~ Beta(1, 1)\nq ~ Beta(2, 1)\nfor n in N:\n    z[n] ~ Bernoulli(0.3)\n    x[n] ~ Bernoulli(if z[n] == 1 then p else q)"
    assert plan(text, engine=None, x=[0, 1, 1, 0], z=[0, 1, 1, 0]).exact


def test_a_plate_is_split_by_what_is_observed() -> None:
    text = "mu ~ Normal(0, 1)\nfor n in N:\n    x[n] ~ Normal(mu, 1)\n    y[n] ~ Normal(x[n], 1)"
    one = plan(text, x=[1.0, np.nan, 2.0, np.nan], y=[1.0, 2.0, 3.0, np.nan])
    members = {(f.label.split(" ~ ")[0], tuple(f.variables)): int(np.prod(list(f.sizes.values()))) for f in one.factors}
    assert members[("x", ("mu",))] == 2
    assert members[("y", ("x",))] == 1
    assert one.latents["x"].plates in ((1,), (2,))


REFUSED: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "the square of a latent value": ("a ~ Normal(0, 1)\nx ~ Normal(a * a, 1)", {"x": 1.0}, "AIM0720", "a * a"),
    "a sum of rates": ("a ~ Gamma(1, 1)\nb ~ Gamma(1, 1)\nx ~ Poisson(a + b)", {"x": 1}, "AIM0720", "a + b"),
    "a latent shape": ("a ~ Gamma(1, 1)\nx ~ Gamma(a, 1)", {"x": 1.0}, "AIM0720", "Gamma(a, 1)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_message_is_refused_at_its_place(name: str) -> None:
    text, data, code, place = REFUSED[name]
    with pytest.raises(ppl.AimError) as caught:
        plan(text, engine="vmp", **data)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == code
    assert diagnostic.span is not None
    assert place in diagnostic.span.text or diagnostic.span.text in place


def test_data_of_a_long_plate_are_summed_once() -> None:
    for text, data in [
        ("mu ~ Normal(0, 1)\ntau ~ Gamma(1, 1)\nfor n in N: y[n] ~ Normal(mu, precision = tau)", {"y": LONG}),
        (
            "input X: real[N, D]\ntau ~ Gamma(1, 1)\nfor d in D: w[d] ~ Normal(0, 1)\n"
            "for n in N: y[n] ~ Normal(dot(X[n], w), precision = tau)",
            {"y": LONG, "X": np.random.default_rng(0).normal(size=(40, 2))},
        ),
        ("p ~ Dirichlet(ones(3))\nfor n in N: x[n] ~ Categorical(p)", {"x": np.arange(40) % 3}),
    ]:
        likelihood = plan(text, **data).factors[-1]
        assert likelihood.plates == ("n",)
        assert hoist(likelihood).plates == ()


def test_labels_of_a_long_plate_are_taken_in_rows_where_rows_differ_in_data_alone() -> None:
    def taken(text: str, **data: Any) -> set[str]:
        one = plan(text, **data)
        return set(make_program(one.latents, one.blocks, one.factors).data.rows)

    mixture = "for k in K: mu[k] ~ Normal(0, 1)\nfor n in N:\n    z[n] ~ Categorical([0.5, 0.5])\n    x[n] ~ Normal(mu[z[n]], 1)"
    assert taken(mixture, x=SPREAD, K=2) == {"z"}
    own_spread = mixture.replace("mu[z[n]], 1", "mu[z[n]], s[n]").replace("for k", "input s: real[N]\nfor k", 1)
    assert taken(own_spread, x=SPREAD, s=np.ones(5), K=2) == set()
    two = (
        "for n in N:\n    z[n] ~ Bernoulli(0.5)\n    w[n] ~ Bernoulli(if z[n] == 1 then 0.9 else 0.2)\n"
        "    x[n] ~ Bernoulli(if w[n] == 1 then 0.9 else 0.2)"
    )
    assert taken(two, x=[1, 0, 1]) == set()
