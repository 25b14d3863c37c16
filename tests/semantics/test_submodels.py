"""Models used as distributions: what is inlined, under which names, with which index sets; what may not be given."""

from __future__ import annotations

import pytest
from checking import checked, codes, typed

from ppl.semantics.dump import dump_model

READING = """
model reading(centre, noise = 1):
    bias ~ Normal(0, sd = 0.5)
    value ~ Normal(centre + bias, sd = noise)

"""


def lines_of(text: str, library: dict[str, str] | None = None, name: str = "m") -> list[str]:
    return [line.strip() for line in dump_model(typed(text, library).models[name]).splitlines()]


def test_the_statements_of_a_submodel_stand_under_its_name() -> None:
    lines = lines_of(READING + "model m:\n    t ~ Normal(20, sd = 5)\n    first ~ reading(t)\n    second ~ reading(t, noise = 0.5)\n")
    assert lines[-4:] == [
        "first.bias ~ Normal(mean = 0, sd = 0.5)",
        "first ~ Normal(mean = (t + first.bias), sd = 1)",
        "second.bias ~ Normal(mean = 0, sd = 0.5)",
        "second ~ Normal(mean = (t + second.bias), sd = 0.5)",
    ]


def test_the_loops_around_stand_before_those_inside() -> None:
    text = "model sub(c):\n    b ~ Normal(0, 1)\n    for n in N: v[n] ~ Normal(c + b, 1)\n\nmodel m:\n    for r in R: x[r] ~ sub(2 * r)\n"
    lines = lines_of(text)
    assert "random x.b: real[R] (1 plate)" in lines
    assert "random x: real[R, x.N] (2 plates)" in lines
    assert "for r in R for n in x.N: x[r, n] ~ Normal(mean = ((2 * r) + x.b[r]), sd = 1)" in lines


def test_submodels_nest() -> None:
    text = """
model inner(c):
    i ~ Normal(c, 1)
    o ~ Normal(i, 1)

model middle(c):
    for k in 0..2: p[k] ~ inner(c)
    e = p[0] + p.i[1]

model m:
    for k in K: x[k] ~ middle(3)
    z ~ Normal(x.p.i[0, 1], 1)
"""
    lines = lines_of(text)
    assert "for k in K for k_2 in 0..2: x.p[k, k_2] ~ Normal(mean = x.p.i[k, k_2], sd = 1)" in lines
    assert "for k in K: x[k] = (x.p[k, 0] + x.p.i[k, 1])" in lines
    assert lines[-1] == "z ~ Normal(mean = x.p.i[0, 1], sd = 1)"


def test_an_exported_variable_may_be_computed_and_need_not_be_the_last() -> None:
    text = "model sub(c):\n    e ~ Normal(0, 1)\n    v = c + e\n    w ~ Normal(v, 1)\n    export v\n\nmodel m:\n    x ~ sub(1)\n"
    lines = lines_of(text)
    assert "deterministic x: real" in lines
    assert lines[-3:] == ["x.e ~ Normal(mean = 0, sd = 1)", "x = (1 + x.e)", "x.w ~ Normal(mean = x, sd = 1)"]


def test_indices_of_arguments_and_of_the_submodel_stay_apart() -> None:
    text = """
model sub(c):
    for n in 0..3: v[n] ~ Normal(c + sum(k for k in 0..2), 1)

model m:
    for k in K: for n in N: a[n, k] ~ Normal(0, 1)
    for n in N: x[n] ~ sub(sum(a[n, k] for k in K))
"""
    line = "for n in N for n_2 in 0..3: x[n, n_2] ~ Normal(mean = (sum(a[n, k] for k in K) + sum(k_2 for k_2 in 0..2)), sd = 1)"
    assert lines_of(text)[-1] == line


def test_an_entry_of_an_argument_is_an_entry_of_its_variable() -> None:
    text = """
model sub(w: real[D]):
    for d in D: v[d] ~ Normal(w[d], 1)

model m:
    for r in R, f in F: w[r, f] ~ Normal(0, 1)
    for r in R: x[r] ~ sub(w[r])
"""
    assert lines_of(text)[-1] == "for r in R for d in F: x[r, d] ~ Normal(mean = w[r, d], sd = 1)"


SIZED = "model sub(K: size = 3, w: real[K] = ones(K)):\n    for k in K: a[k] ~ Normal(w[k], 1)\n    s = sum(a) + K\n\nmodel m(J: size = 2):\n    x ~ "


@pytest.mark.parametrize(
    ("call", "axis", "size"),
    [
        ("sub(J)", "J", "size(J)"),
        ("sub(4)", "0..4", "4"),
        ("sub(J + 1)", "J + 1", "(size(J) + 1)"),
        ("sub(w = [1, 2])", "0..2", "2"),
        ("sub(w = ones(J))", "J", "size(J)"),
        ("sub()", "x.K", "size(x.K)"),
        ("sub(J - 1)", "x.K", "size(x.K)"),
    ],
)
def test_a_size_is_a_set_of_the_model_around_or_of_its_own(call: str, axis: str, size: str) -> None:
    lines = lines_of(SIZED + call + "\n")
    assert f"random x.a: real[{axis}] (1 plate)" in lines
    assert lines[-1] == f"x = (sum(x.a) + {size})"
    default = {"sub()": "set x.K: size = 3", "sub(J - 1)": "set x.K: size = (size(J) - 1)"}
    assert default.get(call, "set J: size = 2") in lines


def test_a_type_that_reaches_to_a_size_follows_it() -> None:
    text = "type Cell = 0..M\nmodel a(M: size):\n    c ~ Categorical(ones(Cell) / M)\n\nmodel m(M: size):\n    x ~ a(5)\n    y ~ a(M)\n    z ~ a()\n"
    lines = lines_of(text)
    assert {"set x.Cell = 0..5", "set Cell = 0..M", "set z.Cell = 0..z.M", "set z.M: size"} <= set(lines)
    assert {"random x: x.Cell", "random y: Cell", "random z: z.Cell"} <= set(lines)


def test_inputs_are_given_by_argument_or_have_a_dotted_name() -> None:
    text = """
model sub(p):
    input X: real[N, D]
    input u: real = 5
    input w: real = p
    for d in D: b[d] ~ Normal(0, 1)
    for n in N: y[n] ~ Normal(dot(X[n], b) + u + w, 1)

model m:
    input Z: real[M, E]
    t ~ Normal(0, 1)
    a ~ sub(1, X = Z)
    for r in R: c[r] ~ sub(t, u = 2)
"""
    lines = lines_of(text)
    assert {"input a.u: real = 5", "input a.w: real = 1", "input c.X: real[R, c.N, c.D]"} <= set(lines)
    assert not any(line.startswith(("input c.u", "input c.w", "input a.X")) for line in lines)
    assert "for n in M: a[n] ~ Normal(mean = ((dot(Z[n], a.b) + a.u) + a.w), sd = 1)" in lines
    assert lines[-1] == "for r in R for n in c.N: c[r, n] ~ Normal(mean = ((dot(c.X[r, n], c.b[r]) + 2) + t), sd = 1)"


def test_a_submodel_may_be_a_step_of_a_recursion() -> None:
    text = """
model step(before):
    e ~ Normal(0, 1)
    o ~ Normal(before + e, 1)

model m:
    x[0] ~ step(0)
    for t in 1..T: x[t] ~ step(x[t - 1] + x.e[t - 1])
"""
    lines = lines_of(text)
    assert "for t in 1..T: x[t] ~ Normal(mean = ((x[(t - 1)] + x.e[(t - 1)]) + x.e[t]), sd = 1)" in lines
    assert "random x.e: real[T] (1 plate)" in lines
    assert codes(text.replace("x[0] ~ step(0)", "x[0] ~ Normal(0, 1)")) == ["AIM0116"]
    assert codes(text.replace("x.e[t - 1])", "x.e[t])")) == ["AIM0106"]


def test_a_link_is_taken_where_the_argument_is_random() -> None:
    text = (
        "model sub(a):\n    for n in 0..2: y[n] ~ Bernoulli(logit = a)\n\nmodel m:\n    a ~ Normal(0, 1)\n    x ~ sub(a)\n    z ~ sub(1)\n"
    )
    lines = lines_of(text)
    assert lines[-2:] == ["for n in 0..2: x[n] ~ Bernoulli(logit = a)", "for n in 0..2: z[n] ~ Bernoulli(p = sigmoid(1))"]


def test_potentials_and_networks_come_along() -> None:
    text = """
model sub(z: real[L], j, L: size = 2):
    network f = mlp(L, 4, D)
    x ~ MvNormal(f(z), cov = eye(D))
    factor j * x[0]

model m:
    for n in N, q in Q: z[n, q] ~ Normal(0, 1)
    for n in N: x[n] ~ sub(z[n], n)
"""
    lines = lines_of(text)
    assert "for n in N: x[n] ~ MvNormal(mean = x.f(z[n]), cov = eye(size(x.D)))" in lines
    assert "for n in N: factor (n * x[n, 0])" in lines
    assert "network x.f = mlp(size(Q), 4, size(x.D), activation = relu)" in lines


def test_members_may_be_given_by_their_bare_names() -> None:
    library = {"places": "type Side = {left, right}\n\nmodel sub(s: Side, k: Side = right):\n    x ~ Normal(if s == k then 1 else 0, 1)\n"}
    lines = lines_of("from places import sub\n\nmodel m:\n    a ~ sub(left)\n    b ~ sub(right, k = left)\n", library)
    assert lines[-2:] == [
        "a ~ Normal(mean = (if (left == right) then 1 else 0), sd = 1)",
        "b ~ Normal(mean = (if (right == left) then 1 else 0), sd = 1)",
    ]


CALLS = {
    "no value": ("reading()", "AIM0305"),
    "too many": ("reading(1, 2, 3)", "AIM0303"),
    "twice": ("reading(1, centre = 2)", "AIM0304"),
    "misspelt": ("reading(1, nois = 2)", "AIM0302"),
    "unknown name": ("reading(unknown)", "AIM0104"),
    "a vector for a number": ("reading([1, 2])", "AIM0219"),
    "outside the support": ("reading(1, noise = -2)", "AIM0306"),
    "without brackets": ("reading", "AIM0114"),
    "in an arm": ("if 1 == 1 then reading(1) else Normal(0, 1)", "AIM0311"),
    "as a component": ("Mixture([0.5, 0.5], [reading(1), Normal(0, 1)])", "AIM0311"),
    "as a value": ("Normal(reading(1), 1)", "AIM0311"),
}


@pytest.mark.parametrize("case", CALLS.values(), ids=CALLS.keys())
def test_what_a_submodel_cannot_take(case: tuple[str, str]) -> None:
    call, code = case
    assert codes(READING + f"model m:\n    x ~ {call}\n    y = x\n") == [code]


def test_a_size_is_known_before_the_data() -> None:
    text = "model sub(K: size):\n    for k in K: a[k] ~ Normal(0, 1)\n\nmodel m:\n    n ~ Poisson(3)\n    for r in R: x[r] ~ sub({})\n"
    assert codes(text.replace("{}", "n")) == ["AIM0219"]
    assert codes(text.replace("{}", "r + 1")) == ["AIM0219"]
    assert codes(text.replace("{}", "0")) == ["AIM0219"]
    assert codes(text.replace("{}", "R")) == []


def test_a_mistake_inside_points_at_both_places() -> None:
    text = "model sub(K: size):\n    for k in K: b[k] ~ Normal(0, 1)\n    d ~ Normal(b[2], 1)\n\nmodel m:\n    x ~ sub(2)\n"
    (found,) = checked(text)[1].errors
    assert found.code == "AIM0205"
    assert "model.aim:3:18: error" in str(found)
    assert "model.aim:6:9: note: in the model that is used here" in str(found)


def test_a_model_that_uses_itself_is_told_with_its_way() -> None:
    _, findings = checked("model a:\n    x ~ b()\n\nmodel b:\n    x ~ c()\n\nmodel c:\n    x ~ a()\n")
    assert [(d.code, d.message) for d in findings.errors] == [
        ("AIM0115", "the model `a` uses itself: it uses `b`, which uses `c`, which uses `a`")
    ]


def test_one_variable_is_exported_and_it_is_defined() -> None:
    body = "model sub(a = 1):\n    x ~ Normal(a, 1)\n    y ~ Normal(x, 1)\n"
    assert codes(body + "    export x\n") == []
    assert codes(body + "    export x\n    export y\n") == ["AIM0119"]
    assert codes(body + "    export a\n") == ["AIM0119"]
    assert codes("model sub:\n    factor 1\n\nmodel m:\n    x ~ sub()\n") == ["AIM0119"]


def test_parts_may_be_given_expected_and_misspelt() -> None:
    text = (
        READING + 'model m:\n    for r in R: x[r] ~ reading(1)\n\ntest "t":\n    fit m to x = [1, 2], {} = 0.2\n    expect mean({}) = 0\n'
    )
    assert codes(text.replace("{}", "x.bias[0]")) == []
    assert codes(text.replace("{}", "x.bais[0]")) == ["AIM0118", "AIM0112"]


def test_a_folder_is_a_module_and_files_find_their_neighbours() -> None:
    library = {
        "shop.price": "from tools import half\n\nmodel price(a):\n    x ~ Normal(half(a), 1)\n",
        "shop.tools": "fn half(x) = x / 2\n",
        "tools": "fn third(x) = x / 3\n",
    }
    lines = lines_of("from shop import price\nfrom tools import third\n\nmodel m:\n    x ~ price(third(3))\n", library)
    assert lines[-1] == "x ~ Normal(mean = ((3 / 3) / 2), sd = 1)"
    assert codes("from shop import cost\n", library) == ["AIM0107"]


def test_what_is_imported_is_not_defined_again() -> None:
    library = {"basics": "type Side = {left, right}\n\nfn f(x) = x\n\nmodel coin:\n    x ~ Bernoulli(0.5)\n"}
    for line in ("type Side = {a, b}", "fn f(y) = 2 * y", "model coin:\n    y ~ Bernoulli(0.5)"):
        assert codes(f"from basics import Side, f, coin\n\n{line}\n", library) == ["AIM0102"]
