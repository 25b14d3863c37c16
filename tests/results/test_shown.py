"""What the prompt shows of a result is what a person reads of it."""

import pytest

import ppl
from ppl.source.diagnostics import AimError

COIN = "model coin(a = 1):\n    theta ~ Beta(a, 1)\n    for n in N:\n        x[n] ~ Bernoulli(theta)\n"
AGENT = (
    "agent waits:\n    state s: {here, there} = here\n    action a: {stay}\n    next s = s\n    observe o: {here, there} = s\n"
    "    prefer o ~ {here: 0.9, there: 0.1}\n    plan a by efe(horizon = 1)\n"
)
SPRING = "model spring:\n    generalized t in T (dt = 0.1):\n        state x: real = 1\n        x' ~ Normal(-x, precision = 16)\n"


def test_results_are_shown_as_their_text() -> None:
    model = ppl.parse(COIN)
    posterior = model.fit(x=[1, 0, 1, 1])
    shown = [posterior.summary(), posterior.plan, model.graph(), ppl.compare({"a": posterior}), model.explain(N=3, engine="nuts")]
    shown += [ppl.parse(AGENT).explain(), ppl.parse(SPRING + "        y ~ Normal(x, precision = 64)\n").explain(y=[1.0] * 20)]
    for value in shown:
        assert repr(value) == str(value)
        assert "object at 0x" not in repr(value)
    assert repr(posterior) == "<posterior of coin: exact, elbo -2.99573 nats; beliefs in theta>"


def test_what_is_no_posterior_is_not_compared() -> None:
    posterior = ppl.parse(COIN).fit(x=[1])
    for wrong in ([posterior], {"a": posterior, "b": 3}):
        with pytest.raises(TypeError, match="by name"):
            ppl.compare(wrong)  # type: ignore[arg-type]


def test_what_is_no_environment_is_said_to_be_none() -> None:
    agent = ppl.parse(AGENT)
    with pytest.raises(AimError, match="has `reset` and `step`"):
        agent.run(object(), steps=1)
    with pytest.raises(TypeError, match="values by name"):
        agent.run(steps=1, where=["s"])  # type: ignore[arg-type]
