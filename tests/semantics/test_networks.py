"""Networks and potentials in the typed model: shapes of layers, options, posteriors by a network."""

from __future__ import annotations

import pytest
from checking import codes, typed

from ppl.semantics.dump import dump_model

DECODER = """
model m(L: size = 2):
    network decode = mlp(L, 64, D, activation = tanh, prior = Normal(0, 1))
    for n in N, l in L: z[n, l] ~ Normal(0, 1)
    for n in N: x[n] ~ MvNormal(decode(z[n]), cov = eye(D))

"""


def test_a_network_is_a_function_from_its_first_width_to_its_last() -> None:
    model = typed(DECODER).models["m"]
    lines = dump_model(model).splitlines()
    assert "  random x: real[N, D] (1 plate)" in lines
    assert "  for n in N: x[n] ~ MvNormal(mean = decode(z[n]), cov = eye(size(D)))" in lines
    assert lines[-1] == "  network decode = mlp(size(L), 64, size(D), activation = tanh, prior = Normal(mean = 0, sd = 1))"


@pytest.mark.parametrize(
    ("network", "use", "code"),
    [
        ("mlp(L, 8, D)", "sum(f(z))", None),
        ("mlp(L, 8, 1, activation = identity)", "f(z)[0]", None),
        ("mlp(L, 8, D)", "sum(f(ones(3) ))", None),
        ("mlp(3, 8, D)", "sum(f(ones(4)))", "AIM0310"),
        ("mlp(L, 8, D)", "sum(f(z[0]))", "AIM0310"),
        ("mlp(L, 8, D)", "f(z)", "AIM0219"),
        ("mlp(L, 8, D)", "sum(f(z, z))", "AIM0309"),
        ("mlp(L)", "1", "AIM0313"),
        ("mlp(L, 0, D)", "1", "AIM0313"),
        ("mlp(L, 2.5, D)", "1", "AIM0313"),
        ("mlp(L, D, activation = rely)", "1", "AIM0313"),
        ("mlp(L, D, prior = 3)", "1", "AIM0311"),
        ("mlp(L, D, prior = Categorical([0.5, 0.5]))", "1", "AIM0313"),
        ("mlp(L, D, layers = 3)", "1", "AIM0313"),
        ("mpl(L, D)", "1", "AIM0313"),
    ],
)
def test_what_a_network_takes(network: str, use: str, code: str | None) -> None:
    text = f"model m(L: size, D: size):\n    network f = {network}\n    for l in L: z[l] ~ Normal(0, 1)\n    x ~ Normal({use}, 1)\n"
    assert codes(text) == ([code] if code else [])


def test_a_posterior_by_a_network_is_a_function_of_each_member() -> None:
    text = DECODER + "approximate m:\n    q(z[n]) by network encode(x[n]) = mlp(D, 64, L)\n"
    ((found,),) = (a.amortised for a in typed(text).models["m"].approximations)
    assert (found.variable, [(loop.name, loop.set.key) for loop in found.loops], found.network.name) == ("z", [("n", "N")], "encode")
    line = dump_model(typed(text).models["m"]).splitlines()[-1]
    assert line == "  approximate q(z[n] for n in N) by encode(x[n]) = mlp(size(D), 64, size(L), activation = relu)"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("q(z[n, l]) by network encode(x[n]) = mlp(D, 64, 1)", None),
        ("q(z[n]) by network encode(x[n]) = mlp(D, 64, L)\n    q(z): point", "AIM0508"),
        ("q(z[n]) by network encode(x[n]) = mlp(D, 64, 3)", None),
        ("q(z[n]) by network encode(x[n]) = mlp(D, 64, D)", "AIM0310"),
        ("q(z[n, l]) by network encode(x[n]) = mlp(D, 64, 4)", "AIM0310"),
        ("q(z[n]) by network encode(x) = mlp(D, 64, L)", "AIM0310"),
        ("q(z[n]) by network encode(x[k]) = mlp(D, 64, L)", "AIM0104"),
        ("q(z[0]) by network encode(x[0]) = mlp(D, 64, L)", "AIM0211"),
        ("q(y[n]) by network encode(x[n]) = mlp(D, 64, L)", "AIM0501"),
        ("q(z[n], x[n]) by network encode(x[n]) = mlp(D, 64, L)", "AIM0313"),
    ],
)
def test_what_a_posterior_by_a_network_says(line: str, code: str | None) -> None:
    assert codes(DECODER + f"approximate m:\n    {line}\n") == ([code] if code else [])


def test_a_potential_is_a_number_for_each_member_of_its_loops() -> None:
    body = "model m:\n    for i in 0..3: s[i] ~ Bernoulli(0.5)\n    factor {}\n"
    assert codes(body.replace("{}", "s")) == ["AIM0219"]
    assert codes(body.replace("{}", "t")) == ["AIM0104"]
    assert codes(body.replace("{}", "Normal(0, 1)")) == ["AIM0311"]
    model = typed(body.replace("factor {}", "for i in 0..2: factor s[i] * s[i + 1]")).models["m"]
    assert dump_model(model).splitlines()[-1] == "  for i in 0..2: factor (s[i] * s[(i + 1)])"
    assert [loop.set.key for potential in model.potentials for loop in potential.loops] == ["0..2"]


def test_a_potential_reads_what_is_defined_above() -> None:
    assert codes("model m:\n    factor a\n    a ~ Normal(0, 1)\n") == ["AIM0105"]
