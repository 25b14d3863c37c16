"""Agents that others have computed: beliefs, free energies and expected free energy by term."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ppl
from ppl.agents.policy_plan import PolicyPlan

DATA = json.loads((Path(__file__).parent / "data" / "references.json").read_text())
PLANNING = ["aif01_random_1factor", "aif04_tmaze_h2", "aif08_learn_A", "aif10_redundant_modalities"]


def program(case: dict) -> tuple[str, dict[str, np.ndarray]]:
    """The agent as a program and its inputs; factors without a choice have no action."""
    lines, inputs = [], {}
    moving = [f for f, B in enumerate(case["B"]) if np.shape(B)[2] > 1]
    types = [f"type S{f} = 0..{len(D)}" for f, D in enumerate(case["D"])]
    types += [f"type U{f} = 0..{np.shape(case['B'][f])[2]}" for f in moving] + [f"type O{m} = 0..{len(A)}" for m, A in enumerate(case["A"])]

    def given(name: str, value: np.ndarray) -> None:
        inputs[name] = np.asarray(value, float)
        lines.append(f"input {name}: real[{', '.join(map(str, inputs[name].shape))}]")

    for f, (D, B) in enumerate(zip(case["D"], case["B"], strict=True)):
        given(f"D{f}", np.array(D) / np.sum(D))
        given(f"B{f}", np.moveaxis(np.array(B), 0, -1))
    statements = [f"state s{f}: S{f} ~ Categorical(D{f})" for f in range(len(case["D"]))] + [f"action u{f}: U{f}" for f in moving]
    statements += [f"next s{f} ~ Categorical(B{f}[s{f}, {f'u{f}' if f in moving else 0}])" for f in range(len(case["D"]))]
    for m, A in enumerate(case["A"]):
        parents = [f"s{f}" for f in case.get("A_dependencies", [[0]])[m]]
        if case.get("pA"):
            given(f"a{m}", np.moveaxis(np.array(case["pA"][m]), 0, -1))
            places = ", ".join(f"i{f}" for f in range(len(parents)))
            loops = ", ".join(f"i{f} in S{p[1:]}" for f, p in enumerate(parents))
            lines.append(f"for {loops}: A{m}[{places}] ~ Dirichlet(a{m}[{places}])")
        else:
            given(f"A{m}", np.moveaxis(np.array(A), 0, -1))
        statements.append(f"observe o{m}: O{m} ~ Categorical(A{m}[{', '.join(parents)}])")
    if "C" in case:
        for m, C in enumerate(case["C"]):
            given(f"C{m}", np.array(C))
            statements.append(f"prefer o{m} ~ Categorical(logits = C{m})")
        spell = lambda policy: f"[{', '.join(str(step[moving[0]]) for step in policy)}]"  # noqa: E731
        habit = ", ".join(f"{spell(p)}: {e / sum(case['E'])!r}" for p, e in zip(case["policies"], case["E"], strict=True))
        statements.append(f"habit policy ~ {{{habit}}}")
        statements.append(f"plan u{moving[0]} by efe(horizon = {len(case['policies'][0])}, precision = {case['gamma']})")
    return "\n".join([*types, "agent reference:", *(f"    {line}" for line in lines + statements)]) + "\n", inputs


def record(case: dict) -> dict[str, list[int]]:
    columns = {f"o{m}": [step[m] for step in case["observations"]] for m in range(len(case["A"]))}
    moving = [f for f, B in enumerate(case["B"]) if np.shape(B)[2] > 1]
    return columns | {f"u{f}": [step[f] for step in case["actions"]] for f in moving}


@pytest.mark.parametrize("name", PLANNING)
def test_beliefs_and_expected_free_energies_are_those_of_the_definition(name: str) -> None:
    case = DATA[name]
    text, inputs = program(case)
    before, seen = ppl.parse(text).start(**inputs), record(case)
    moving = next(f for f, B in enumerate(case["B"]) if np.shape(B)[2] > 1)
    names = [[str(step[moving]) for step in policy] for policy in case["policies"]]
    for t, step in enumerate(case["steps"]):
        mind = before.perceive(**{n: column[t] for n, column in seen.items() if n[0] == "o"})
        assert mind.free_energy == pytest.approx(step["free_energy"], abs=1e-9)
        for f, marginal in enumerate(step["marginals"]):
            assert np.allclose(mind.beliefs[f"s{f}"].params["p"], marginal, atol=1e-9)
        if step["pA"]:
            assert np.allclose(mind.memory.learnt["A0"].T, step["pA"][0], atol=1e-9)
        # these plans were made before the outcome was learnt from; the state is known there whatever was seen
        check_plan((before.perceive() if step["novelty"] else mind).plan(), step, names)
        before = mind.did(**{n: column[t] for n, column in seen.items() if n[0] == "u"})


def check_plan(plan: PolicyPlan, step: dict, names: list[list[str]]) -> None:
    order = [plan.policies.index(policy) for policy in names]
    for ours, theirs in (("pragmatic", "pragmatic"), ("epistemic", "epistemic_joint"), ("ambiguity", "ambiguity"), ("risk", "risk_joint")):
        assert np.allclose(getattr(plan, ours)[order], step[theirs], atol=1e-9), ours
    novelty = np.array(step["novelty_A_joint"]) if step["novelty"] else np.zeros(len(order))
    assert np.allclose(plan.novelty[order], novelty, atol=1e-9)
    assert np.allclose(plan.G[order], np.array(step["G_joint"]) - novelty, atol=1e-9)
    assert np.allclose(plan.probabilities[order], step["q_pi_textbook"], atol=1e-9)


def test_filtering_smoothing_and_evidence_of_a_chain_with_actions() -> None:
    case = DATA["aif13_hmm_exact"]
    case = case | {"actions": [[a] for a in case["actions"]], "observations": [[o] for o in case["observations"]]}
    text, inputs = program(case)
    mind = ppl.parse(text.replace("agent reference:", "agent chain:")).start(**inputs)
    done = [None, *case["actions"]]
    for t, ((seen,), action) in enumerate(zip(case["observations"], done, strict=False)):
        mind = mind.perceive(o0=seen) if action is None else mind.perceive(u0=action[0], o0=seen)
        assert np.allclose(mind.beliefs["s0"].params["p"], case["filtered"][t], atol=1e-10)
        assert mind.free_energy == pytest.approx(case["free_energy"][t], abs=1e-10)
    smoothed = np.array([beliefs["s0"].params["p"] for beliefs in mind.smoothed()])
    assert np.allclose(smoothed, case["smoothed"], atol=1e-10)
