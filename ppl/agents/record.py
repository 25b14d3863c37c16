"""Records of an agent: what was seen and done, step by step, as it is given by name and as places of members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ppl.agents.network import AgentNetwork
from ppl.graph.dataset import Dataset, from_mapping
from ppl.graph.given import Given
from ppl.graph.values import assemble
from ppl.semantics.typed import Axis, TypedModel, Variable
from ppl.source.diagnostics import AimError, Diagnostic, Findings


@dataclass(frozen=True)
class Record:
    """`seen` is episodes × steps × outcomes and `done` episodes × steps × actions: places of members (numbers, where the set is `real`),
    -1 (NaN) where nothing is known."""

    seen: np.ndarray
    done: np.ndarray

    @property
    def episodes(self) -> int:
        return self.seen.shape[0]

    @property
    def steps(self) -> int:
        return self.seen.shape[1]

    @property
    def unsaid(self) -> np.ndarray:
        """Which actions are not told though something was seen or done after them: episodes × steps × actions."""
        told: np.ndarray = np.asarray(np.concatenate([~_unknown(self.seen), ~_unknown(self.done)], axis=-1).any(axis=-1))
        later: np.ndarray = np.cumsum(told[:, ::-1], axis=1)[:, ::-1] - told
        return _unknown(self.done) & np.expand_dims(later > 0, -1)


def _unknown(values: np.ndarray) -> np.ndarray:
    return np.isnan(values) if values.dtype.kind == "f" else values < 0


def apart(model: TypedModel, datasets: Sequence[Dataset]) -> tuple[list[Dataset], list[Dataset]]:
    """What speaks of outcomes and actions, and what of parameters, inputs and sizes."""
    assert model.agent is not None
    spoken = {name for name, role in model.agent.roles.items() if role != "state"}
    records, others = [], []
    for dataset in datasets:
        names = [name for name in dataset.values if name.partition("[")[0] in spoken]
        if names:
            records.append(replace(dataset, values={n: dataset.values[n] for n in names}))
        rest = {n: v for n, v in dataset.values.items() if n not in names}
        if rest:
            others.append(replace(dataset, values=rest))
    return records, others


def read_record(network: AgentNetwork, datasets: Sequence[Dataset]) -> Record:
    """The record that these data hold. Raises `AimError` where a value is no member, or where lengths disagree."""
    findings = Findings()
    columns: dict[str, np.ndarray] = {}
    for dataset in datasets:
        for name, value in dataset.values.items():
            columns |= _columns(network, name, value, dataset.name, findings)
    findings.raise_errors()
    seen = [columns.get(f.name) for f in network.outcomes]
    done = [columns.get(f.name) for f in network.actions]
    _refuse_uneven(columns, datasets)
    lengths = {f.name: c.shape[1] for f, c in zip(network.outcomes, seen, strict=True) if c is not None}
    if not any(lengths.values()):
        names = ", ".join(f.name for f in network.outcomes)
        raise AimError([Diagnostic("AIM0413", "the record holds no outcome", None, f"it may hold {names}", where=_where(datasets))])
    steps = max(lengths.values())
    short = [name for name, n in lengths.items() if n != steps]
    if short:
        longest = next(name for name, n in lengths.items() if n == steps)
        text = f"`{short[0]}` has {lengths[short[0]]} steps, `{longest}` has {steps}"
        raise AimError([Diagnostic("AIM0413", text, None, "write null where nothing was seen", where=_where(datasets))])
    for f, column in zip(network.actions, done, strict=True):
        if column is not None and column.shape[1] > steps:
            text = f"`{f.name}` has {column.shape[1]} entries, but there are {steps} steps"
            raise AimError(
                [Diagnostic("AIM0413", text, None, "an action follows each outcome; the last needs none", where=_where(datasets))]
            )
    episodes = len(next(iter(columns.values())))
    return Record(_matrix(seen, episodes, steps), _matrix(done, episodes, steps))


def _refuse_uneven(columns: Mapping[str, np.ndarray], datasets: Sequence[Dataset]) -> None:
    """Raises AimError where columns have different numbers of episodes."""
    counts = {name: len(c) for name, c in columns.items()}
    if len(set(counts.values())) > 1:
        (one, a), (other, b) = min(counts.items(), key=lambda item: item[1]), max(counts.items(), key=lambda item: item[1])
        text = f"`{one}` has {a} episode{'s' * (a != 1)}, `{other}` has {b}"
        hint = "write a list of episodes, each a list of steps, for all of them"
        raise AimError([Diagnostic("AIM0413", text, None, hint, where=_where(datasets))])


def _where(datasets: Sequence[Dataset]) -> str:
    return datasets[0].name if datasets else ""


def _matrix(columns: list[np.ndarray | None], episodes: int, steps: int) -> np.ndarray:
    found = []
    for column in columns:
        real = column is not None and column.dtype.kind == "f"
        empty = np.full((episodes, steps), np.nan if real else -1)
        if column is not None:
            empty[:, : column.shape[1]] = column
        found.append(empty)
    return np.stack(found, axis=-1) if found else np.zeros((episodes, steps, 0), int)


def _columns(
    network: AgentNetwork, name: str, value: np.ndarray, where: str, findings: Findings, *, several: bool = True
) -> dict[str, np.ndarray]:
    """The series of each factor that a given value speaks of, episodes × steps: `pull` may be given whole, steps × members, or as
    `pull[0]`; with one more axis in front these are several episodes, where there may be."""
    factors = [f for f in (*network.outcomes, *network.actions) if f.name == name or f.variable.name == name]
    if not factors:
        findings.error("AIM0605", f"there is no `{name}` in `{network.model.name}`", None, where=where)
        return {}
    single = factors[0].name == name
    variable = _over_time(factors[0].variable, plates=not single)
    several = several and value.ndim == len(variable.type.axes) + 1
    flat = value.reshape(-1, *value.shape[2:]) if several else value
    found = assemble((Given(name, variable, flat, where),), network.bound.sizes, findings)
    if found is None:
        return {}
    columns = {name: found} if single else {f.name: found[(slice(None), *f.place)] for f in factors}
    return {n: c.reshape(value.shape[:2] if several else (1, -1)) for n, c in columns.items()}


def _over_time(variable: Variable, *, plates: bool) -> Variable:
    own = variable.type.axes if plates else variable.type.axes[variable.plates :]
    return replace(variable, type=replace(variable.type, axes=(Axis(), *own)), plates=1 + (variable.plates if plates else 0))


def one_step(network: AgentNetwork, values: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """What is said of one step, by name: what was seen and what was done, as places of members. Raises `AimError` at what is wrong."""
    factors = {f.name: f for f in (*network.outcomes, *network.actions)}
    variables = {f.variable.name for f in factors.values()}
    findings = Findings()
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name not in factors and name not in variables:
            from ppl.source.diagnostics import did_you_mean

            known = list(dict.fromkeys((*variables, *factors)))
            hint = did_you_mean(name, known) or "it has " + ", ".join(known)
            findings.error("AIM0605", f"agent `{network.model.name}` has no outcome or action `{name}`", None, hint)
            continue
        array = from_mapping({name: value}, "").values[name]
        found |= {n: c[0, 0] for n, c in _columns(network, name, array[None], "", findings, several=False).items()}
    findings.raise_errors()
    seen = np.array([found.get(f.name, -1) for f in network.outcomes], int)
    return seen, np.array([found.get(f.name, -1) for f in network.actions], int)
