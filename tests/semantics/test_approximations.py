"""`approximate` blocks and the lines of tests: names, engines, options, data."""

from __future__ import annotations

import pytest
from checking import codes, typed

MODEL = """
model m(K: size = 2, scale = 1):
    input w: real[N]
    pi ~ Dirichlet(ones(K))
    for k in K: mu[k] ~ Normal(0, scale)
    half = 0.5 * scale
    for n in N:
        z[n] ~ Categorical(pi)
        x[n] ~ Normal(mu[z[n]] + w[n], half)

"""


def test_an_approximation_is_attached_to_its_model() -> None:
    text = (
        MODEL
        + "approximate m:\n    q(pi, mu) q(z[n])\n    use vmp(restarts = 3, tolerance = 1e-6)\n\napproximate m as sure:\n    use exact\n"
    )
    first, second = typed(text).models["m"].approximations
    assert first.blocks == (("pi", "mu"), ("z",))
    assert first.separate == ("z",)
    assert (first.engine, first.options) == ("vmp", {"restarts": 3, "tolerance": 1e-6})
    assert (second.label, second.engine, second.blocks) == ("sure", "exact", ())


@pytest.mark.parametrize("engine", ["svi", "nuts", "gibbs", "laplace"])
def test_every_engine_may_be_named(engine: str) -> None:
    model = typed(MODEL + f"approximate m:\n    use {engine}\n").models["m"]
    assert [found.engine for found in model.approximations] == [engine]


def test_a_form_is_a_point_or_a_family() -> None:
    (found,) = typed(MODEL + "approximate m:\n    q(pi): point\n    q(mu[k]): Normal\n").models["m"].approximations
    assert found.forms == {"pi": "point", "mu": "Normal"}
    assert found.blocks == ()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("q(nu)", "AIM0501"),
        ("q(mu) q(mu)", "AIM0502"),
        ("q(half)", "AIM0503"),
        ("q(w)", "AIM0503"),
        ("q(scale)", "AIM0503"),
        ("q(pi[k])", "AIM0206"),
        ("use vpm", "AIM0504"),
        ("use vmp(dampin = 0)", "AIM0505"),
        ("use vmp(restarts = 0)", "AIM0505"),
        ("use vmp(restarts = 1.5)", "AIM0505"),
        ("use exact(restarts = 2)", "AIM0505"),
        ("q(pi): gaussian", "AIM0507"),
        ("q(pi): point\n    q(pi): Dirichlet", "AIM0508"),
    ],
)
def test_what_an_approximation_cannot_say(line: str, code: str) -> None:
    assert codes(MODEL + f"approximate m:\n    {line}\n") == [code]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("fit m to x = [1, 2], w = [0, 1]", None),
        ("fit m(3) to x = [1, 2]", None),
        ("fit m(K = 3, scale = 2) to x[0] = 1", None),
        ("fit m to K = 4, x = [1, 2]", None),
        ("fit m to N = 4, z = [0, 1, 1, 0]", None),
        ("fit m(k = 3) to x = [1, 2]", "AIM0302"),
        ("fit m(3, 2, 1) to x = [1, 2]", "AIM0303"),
        ("fit m(3, K = 2) to x = [1, 2]", "AIM0304"),
        ("fit m to x = [1, 2], x = [2, 1]", "AIM0304"),
        ("fit m to xx = [1, 2]", "AIM0118"),
        ("fit m to half = 2", "AIM0118"),
        ("fit m to x[0, 1] = 2", "AIM0206"),
        ("fit m to x = [1, y]", "AIM0104"),
        ("fit n to x = [1]", "AIM0103"),
    ],
)
def test_what_a_fit_names(line: str, code: str | None) -> None:
    assert codes(MODEL + line + "\n") == ([code] if code else [])


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("exact", None),
        ("converged", None),
        ("pi ~ Dirichlet([1, 2])", None),
        ("mean(mu[0]) = 4 / 7 within 1e-9", None),
        ("log_evidence = lbeta(4, 2) - lbeta(1, 1)", None),
        ("sd(mu) < 2", None),
        ("mean(mu[0]) = mean(mu[1])", None),
        ("mean(nu) = 1", "AIM0104"),
        ("mena(mu) = 1", "AIM0308"),
        ("pi ~ Dirichlett([1, 2])", "AIM0301"),
        ("pi ~ Dirichlet(conc = [1, 2])", "AIM0302"),
        ("mean(pi) ~ Dirichlet([1, 2])", "AIM0123"),
        ("mean(mu[0]) = 1 within -1", "AIM0122"),
        ("log_evidnece = 1", "AIM0104"),
    ],
)
def test_what_a_test_expects(line: str, code: str | None) -> None:
    assert codes(MODEL + f'test "t":\n    fit m to x = [1, 2]\n    expect {line}\n') == ([code] if code else [])


def test_a_parameter_without_default_must_be_given() -> None:
    text = "model m(a):\n    x ~ Normal(a, 1)\n\n"
    assert codes(text + "fit m to x = 1\n") == ["AIM0305"]
    assert codes(text + "fit m(2) to x = 1\n") == []
    assert codes(text + "fit m to x = 1, a = 2\n") == []
