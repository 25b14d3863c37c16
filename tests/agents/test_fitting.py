"""Fitting agents to behaviour: the likelihood by hand, its gradient, a posterior on a grid, and truths that are found again."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import ppl
from ppl.agents.fitting import fittable
from ppl.engines.precision import with_precision
from ppl.graph.dataset import from_mapping

TMAZE = """
type Place = {centre, left, right, cue}

agent tmaze():
    gain ~ Normal(0, 2)
    beta ~ Gamma(2, 1)
    validity ~ Beta(9, 1)
    state place: Place = centre
    state side:  {left_good, right_good} ~ Categorical([0.5, 0.5])
    action go: Place

    next place = match place:
        left | right -> place
        _            -> go
    next side = side

    observe seen: Place = place
    observe hint: {none, says_left, says_right} ~ match place, side:
        cue, left_good  -> {says_left: validity, says_right: 1 - validity}
        cue, right_good -> {says_right: validity, says_left: 1 - validity}
        _, _            -> none
    observe outcome: {nothing, reward, shock} ~ match place, side:
        left,  left_good   -> {reward: 0.98, shock: 0.02}
        right, right_good  -> {reward: 0.98, shock: 0.02}
        left | right, _    -> {reward: 0.02, shock: 0.98}
        _, _               -> nothing

    prefer outcome ~ softmax({reward: gain, shock: -gain, nothing: 0})
    plan go by efe(horizon = 2, precision = beta, sophisticated = SOPHISTICATED)
"""
BANDIT = """
agent bandit():
    precision ~ Gamma(2, 0.2)
    like ~ Normal(0, 2)
    state arm: {a, b} ~ Categorical([0.5, 0.5])
    action pull: {a, b}
    next arm = pull
    for k in {a, b}: p[k] ~ Beta(1, 1)
    observe reward: {lose, win} ~ Bernoulli(p[arm])
    observe at: {a, b} = arm
    prefer reward ~ softmax({win: like, lose: 0})
    plan pull by efe(horizon = 1, precision = precision)
"""
PLAIN, DEEP = TMAZE.replace("SOPHISTICATED", "false"), TMAZE.replace("SOPHISTICATED", "true")
WALKS = {
    "seen": [["centre", "cue", "left"], ["centre", "left", "left"], ["centre", "cue", "right"]],
    "hint": [["none", "says_left", "none"], ["none", "none", "none"], ["none", "says_left", None]],
    "outcome": [["nothing", "nothing", "reward"], ["nothing", "shock", "shock"], ["nothing", "nothing", "shock"]],
    "go": [["cue", "left", "left"], ["left", "right", "cue"], ["cue", "right", None]],
}
PULLS = {"at": list("aabbba"), "reward": ["win", "win", "lose", "win", "lose", "lose"], "pull": list("abbbaa")}


def by_mind(agent: ppl.Agent, values: dict, record: dict) -> float:
    """The log probability of the actions, step by step through a mind that knows its parameters."""
    (action,) = (n for n, role in agent.typed.agent.roles.items() if role == "action")
    outcomes = [n for n in record if n != action]
    whole = record if isinstance(record[action][0], list) else {n: [v] for n, v in record.items()}
    total = 0.0
    for episode in range(len(whole[action])):
        mind = agent.start(**values)
        for step, done in enumerate(whole[action][episode]):
            mind = mind.perceive(**{n: whole[n][episode][step] for n in outcomes if whole[n][episode][step] is not None})
            if done is None:
                break
            members = next(f.members for f in mind.program.network.actions)
            total += float(np.log(mind.plan().first[action][members.index(done)]))
            mind = mind.did(**{action: done})
    return total


def behaviour(source: str, record: dict):
    return fittable(ppl.parse(source).bind()).behaviour([from_mapping(record, "")])


@pytest.mark.parametrize(
    ("source", "record", "values"),
    [(DEEP, WALKS, {"gain": -0.4, "beta": 1.9, "validity": 0.95}), (BANDIT, PULLS, {"precision": 3.0, "like": 0.6})],
    ids=["sophisticated", "bandit that learns"],
)
def test_the_likelihood_is_that_of_a_mind_step_by_step(source: str, record: dict, values: dict) -> None:
    told = behaviour(source, record)
    value_and_gradient = with_precision(np.float64, jax.jit(jax.value_and_grad(told)))
    value, gradient = value_and_gradient(values)
    assert float(value) == pytest.approx(by_mind(ppl.parse(source), values, record), abs=1e-9)
    for name in values:
        up, down = (float(value_and_gradient({**values, name: values[name] + h})[0]) for h in (1e-5, -1e-5))
        assert float(gradient[name]) == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-6), name


def simulated(source: str, steps: int, episodes: int, seed: int, **values) -> dict:
    """Behaviour of an agent that draws its actions."""
    trace = ppl.parse(source).run(steps=steps, episodes=episodes, seed=seed, choose="drawn", **values)
    return {**trace.observations, **trace.actions}


def test_a_posterior_by_nuts_is_that_on_a_grid_and_finds_the_truth() -> None:
    """One parameter, which a grid integrates; then both, of behaviour in which both show."""
    record = simulated(BANDIT, 60, 1, 3, precision=4.0, like=1.2, where={"p": [0.3, 0.7]})
    agent = ppl.parse(BANDIT)
    posterior = agent.fit(record, like=1.2, iterations=600)
    told = behaviour_at(agent, record, like=1.2)
    grid = np.linspace(0.01, 40, 1500)
    prior = np.log(grid) - 0.2 * grid  # Gamma(2, 0.2)
    logs = with_precision(
        np.float64, lambda: np.asarray(jax.jit(lambda g: jax.lax.map(lambda b: told({"precision": b, "like": 1.2}), g))(grid))
    )()
    weights = np.exp(logs + prior - (logs + prior).max())
    weights /= weights.sum()
    mean = weights @ grid
    sd = np.sqrt(weights @ (grid - mean) ** 2)
    belief = posterior["precision"]
    error = sd / np.sqrt(belief.ess)
    assert posterior.converged
    assert belief.mean == pytest.approx(mean, abs=4 * error)
    assert belief.sd == pytest.approx(sd, rel=0.2)
    assert posterior.names == ("precision",)
    pointwise = posterior.log_likelihood(draws=20)["pull"]
    assert pointwise.shape == (20, 1, 60)
    first = posterior.draws(20)["precision"][0]
    assert pointwise[0].sum() == pytest.approx(
        float(with_precision(np.float64, jax.jit(told))({"precision": first, "like": 1.2})), abs=1e-6
    )
    with pytest.raises(ppl.AimError, match=r"AIM0731\].*predict"):
        posterior.predict()


def behaviour_at(agent: ppl.Agent, record: dict, **values):
    return fittable(agent.bind(**values)).behaviour([from_mapping(record, "")])


def test_precision_and_preference_of_a_bandit_are_found_again() -> None:
    truth = {"precision": 5.0, "like": 1.0}
    record = simulated(BANDIT, 40, 8, 1, **truth, where={"p": [0.25, 0.75]})
    posterior = ppl.parse(BANDIT).fit(record, engine="laplace")
    for name, value in truth.items():
        assert posterior[name].quantile(0.025) < value < posterior[name].quantile(0.975), name
        assert posterior[name].sd < 0.5 * {"precision": 10.0, "like": 2.0}[name], "narrower than the prior"


def test_precision_and_gain_in_the_tmaze_are_found_again() -> None:
    truth = {"gain": 1.5, "beta": 2.0}
    record = simulated(PLAIN, 3, 80, 2, **truth, validity=0.9)
    posterior = ppl.parse(PLAIN).fit(record, engine="nuts", validity=0.9)
    assert posterior.converged, posterior.warnings
    for name, value in truth.items():
        assert posterior[name].quantile(0.025) < value < posterior[name].quantile(0.975), name
        assert posterior[name].sd < 0.5 * {"gain": 2.0, "beta": np.sqrt(2.0)}[name], "narrower than the prior"


REFUSED = {
    "AIM0805": {"seen": ["centre", "left"], "go": ["right", None]},
    "AIM0414": {"seen": ["centre", "cue"], "go": [None, "cue"]},
    "AIM0413": {"go": ["cue", "left"]},
}


@pytest.mark.parametrize("code", list(REFUSED))
def test_a_record_that_cannot_be_fitted_says_why(code: str) -> None:
    with pytest.raises(ppl.AimError) as raised:
        ppl.parse(PLAIN).fit(**REFUSED[code])
    assert [d.code for d in raised.value.diagnostics] == [code]


def test_what_is_learnt_and_what_is_a_parameter() -> None:
    """A Beta by itself is a row of a table; within a larger row, or in a preference, it is a parameter."""
    assert set(ppl.parse(PLAIN).unknown()) == {"gain", "beta", "validity"}
    assert set(ppl.parse(BANDIT).unknown()) == {"precision", "like"}
    assert ppl.parse(BANDIT).unknown(like=1, precision=2) == ()
    with pytest.raises(ppl.AimError, match=r"AIM0412\].*`like` is random"):
        ppl.parse(BANDIT).run(steps=2)
    with pytest.raises(ppl.AimError, match=r"AIM0806\].*every parameter"):
        ppl.parse(BANDIT).fit(PULLS, like=1, precision=2)
    with pytest.raises(ppl.AimError, match=r"AIM0510\].*`vmp` cannot"):
        ppl.parse(BANDIT).fit(PULLS, engine="vmp")


def test_the_log_density_is_that_of_the_parameters_and_the_behaviour() -> None:
    agent, values = ppl.parse(BANDIT), {"precision": 3.0, "like": 0.6}
    prior = np.log(0.2**2 * 3.0) - 0.2 * 3.0 - 0.5 * np.log(2 * np.pi * 4) - 0.6**2 / 8
    assert agent.log_density(**values) == pytest.approx(prior, abs=1e-12)
    assert agent.log_density(PULLS, **values) == pytest.approx(prior + by_mind(agent, values, PULLS), abs=1e-9)
    assert set(agent.sample(5)) == {"precision", "like"}
    with pytest.raises(ppl.AimError, match=r"AIM0605\].*only parameters"):
        agent.do(arm="a")


def test_drawn_actions_follow_their_probabilities() -> None:
    agent = ppl.parse(BANDIT)
    trace = agent.run(steps=1, episodes=4000, seed=5, choose="drawn", precision=0.5, like=1.0, where={"arm": "a"})
    first = agent.start(precision=0.5, like=1.0).perceive(at="a").plan().first["pull"]
    shares = [(trace.actions["pull"] == member).mean() for member in ("a", "b")]
    assert np.allclose(shares, first, atol=0.03)
