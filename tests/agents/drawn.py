"""Random small agents: the same one as a program with its inputs, and as tables for the reference."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tests.reference.active_inference import Pomdp, Sizes, Statement

KINDS = ("dense", "sparse", "certain", "learnt")


@dataclass(frozen=True)
class Drawn:
    """`text` is the program, `inputs` what is given to it at the start."""

    text: str
    inputs: dict[str, np.ndarray]
    pomdp: Pomdp

    def words(self, sizes: Sizes, place: dict[str, int]) -> dict[str, str]:
        """Places as the names of members."""
        return {n: member(n, place[n]) for n in sizes if n in place}


def member(name: str, place: int) -> str:
    return f"{name}_{place}"


def draw(seed: int, *, horizon: int, sophisticated: bool = False, learnt: bool = True, written: bool = False, most: int = 3) -> Drawn:
    """An agent whose structure and numbers follow from the seed. `written`: with policies written out and a habit over them."""
    return _Drawing(np.random.default_rng(seed), learnt, most).agent(horizon, sophisticated, written)


class _Drawing:
    def __init__(self, random: np.random.Generator, learnt: bool, most: int):
        self.random, self.learnt, self.most = random, learnt, most
        self.lines: list[str] = []
        self.head: list[str] = []
        self.inputs: dict[str, np.ndarray] = {}
        self.counts: dict[str, np.ndarray] = {}

    def agent(self, horizon: int, sophisticated: bool, written: bool) -> Drawn:
        states, outcomes = self.sizes("s", 1, self.most), self.sizes("o", 0, self.most)
        actions = self.sizes("u", 1, 1 if written else 2)
        sizes = states | actions
        types = [f"type T_{n} = {{{', '.join(member(n, k) for k in range(size))}}}" for n, size in (sizes | outcomes).items()]
        initial, transitions, observations = {}, {}, {}
        for k, (n, size) in enumerate(states.items()):
            initial[n] = self.table(f"D_{n}", list(states)[:k], sizes, size)
            self.said("state", n, initial[n], f"D_{n}")
        self.lines += [f"action {n}: T_{n}" for n in actions]
        for n, size in states.items():
            transitions[n] = self.table(f"B_{n}", [n, *sizes], sizes, size)
            self.said("next", n, transitions[n], f"B_{n}")
        for n, size in outcomes.items():
            observations[n] = self.table(f"A_{n}", list(states), sizes, size)
            self.said("observe", n, observations[n], f"A_{n}")
        preferences = self.preferences(states | outcomes)
        habits = {n: self.row("dense", size) for n, size in actions.items() if self.random.random() < 0.4}
        for n, p in habits.items():
            self.given(f"E_{n}", p)
            self.lines.append(f"habit {n} ~ Categorical(E_{n})")
        pomdp = Pomdp(states, actions, outcomes, initial, transitions, observations, self.counts, preferences, habits, horizon=horizon)
        pomdp, options = self.options(pomdp, sophisticated)
        if written:
            pomdp, more = self.policies(pomdp)
            options += more
        self.lines.append(f"plan {', '.join(actions)} by efe({', '.join(options)})")
        text = "\n".join([*types, "agent drawn:", *(f"    {line}" for line in self.head + self.lines)]) + "\n"
        return Drawn(text, self.inputs, pomdp)

    # ------------------------------------------------------------ tables
    def sizes(self, letter: str, fewest: int, most: int) -> Sizes:
        count = int(self.random.integers(fewest, most + 1))
        return {f"{letter}{k}": int(self.random.integers(2, 4 if count < 3 else 3)) for k in range(count)}

    def table(self, name: str, candidates: list[str], sizes: Sizes, size: int) -> Statement:
        kinds = KINDS if self.learnt else KINDS[:3]
        kind = str(self.random.choice(kinds, p=[0.4, 0.25, 0.15, 0.2][: len(kinds)] / np.sum([0.4, 0.25, 0.15, 0.2][: len(kinds)])))
        parents = tuple(n for n in dict.fromkeys(candidates) if self.random.random() < 0.5)
        shape = [sizes[p] for p in parents]
        if kind == "learnt":
            concentration = self.random.gamma(1.5, 1.0, (*shape, size)) + 0.1
            self.given(f"a_{name}", concentration)
            loops = ", ".join(f"i{k} in T_{p}" for k, p in enumerate(parents))
            places = ", ".join(f"i{k}" for k in range(len(parents)))
            place = f"[{places}]" if places else ""
            self.head.append(f"{f'for {loops}: ' if loops else ''}{name}{place} ~ Dirichlet(a_{name}{place})")
            self.counts[name] = concentration.reshape(-1, size)
            rows = np.arange(int(np.prod(shape, dtype=int))).reshape(shape)
            return Statement(parents, np.zeros((*shape, size)), name, rows)
        array = np.array([self.row(kind, size) for _ in range(int(np.prod(shape, dtype=int)))]).reshape(*shape, size)
        self.given(name, array)
        return Statement(parents, array)

    def row(self, kind: str, size: int) -> np.ndarray:
        if kind == "certain":
            return np.eye(size)[self.random.integers(size)]
        p = self.random.dirichlet(np.ones(size))
        if kind == "sparse":
            p = np.where(self.random.random(size) < 0.4, 0.0, p)
            p = p if p.sum() > 0 else np.eye(size)[self.random.integers(size)]
        return p / p.sum()

    def given(self, name: str, value: np.ndarray) -> None:
        self.inputs[name] = value
        self.head.append(f"input {name}: real[{', '.join(map(str, value.shape))}]")

    def said(self, word: str, name: str, statement: Statement, table: str) -> None:
        place = f"[{', '.join(statement.parents)}]" if statement.parents else ""
        kind = "" if word == "next" else f": T_{name}"
        self.lines.append(f"{word} {name}{kind} ~ Categorical({table}{place})")

    # ------------------------------------------------------------ preferences and options
    def preferences(self, sizes: Sizes) -> dict:
        found = {}
        for n, size in sizes.items():
            which = self.random.random()
            if which < 0.3:
                continue
            base, slope = self.random.normal(size=size), self.random.normal(size=size)
            if which < 0.5:
                self.given(f"c_{n}", base)
                self.given(f"d_{n}", slope)
                self.lines.append(f"prefer {n} ~ Categorical(logits = c_{n} + t * d_{n})")
                found[n] = lambda t, base=base, slope=slope: np.exp(base + t * slope) / np.exp(base + t * slope).sum()
            else:
                p = self.row("sparse" if which < 0.6 else "dense", size)
                self.given(f"C_{n}", p)
                self.lines.append(f"prefer {n} ~ Categorical(C_{n})")
                found[n] = lambda t, p=p: p
        return found

    def options(self, pomdp: Pomdp, sophisticated: bool) -> tuple[Pomdp, list[str]]:
        precision, words = float(self.random.uniform(0.2, 3)), []
        words = [f"horizon = {pomdp.horizon}", f"precision = {precision!r}"]
        if self.random.random() < 0.5:
            pomdp = replace(pomdp, discount=float(self.random.uniform(0.3, 1)))
            words.append(f"discount = {pomdp.discount!r}")
        if self.random.random() < 0.5:
            weights = tuple(float(w) for w in self.random.uniform(0.2, 2, 3))
            pomdp = replace(pomdp, weights=weights)
            words += [f"{n} = {w!r}" for n, w in zip(("pragmatic", "epistemic", "novelty"), weights, strict=True)]
        return replace(pomdp, precision=precision), words + ["sophisticated = true"] * sophisticated

    def policies(self, pomdp: Pomdp) -> tuple[Pomdp, list[str]]:
        every = pomdp.every_policy()
        chosen = [every[k] for k in self.random.permutation(len(every))[: int(self.random.integers(1, len(every)))]]
        (name,) = pomdp.actions
        spell = lambda policy: f"[{', '.join(member(name, a) for a in policy)}]"  # noqa: E731
        habit = None
        if self.random.random() < 0.5:
            weights = self.random.dirichlet(np.ones(len(chosen)))
            habit = {policy: float(w) for policy, w in zip(chosen, weights, strict=True)}
            self.lines.append(f"habit policy ~ {{{', '.join(f'{spell(p)}: {w!r}' for p, w in habit.items())}}}")
        return replace(pomdp, policies=chosen, habit=habit), [f"policies = [{', '.join(map(spell, chosen))}]"]
