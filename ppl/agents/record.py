"""Records of an agent: what was seen and done, step by step, as it is given by name and as places of members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ppl.agents.evaluation import Factor
from ppl.agents.network import AgentNetwork
from ppl.agents.rows import Columns
from ppl.graph.dataset import Dataset, from_mapping
from ppl.graph.given import Given, size_names
from ppl.graph.values import assemble
from ppl.semantics.typed import Axis, TypedModel, Variable
from ppl.source.diagnostics import AimError, Diagnostic, Findings, did_you_mean


@dataclass(frozen=True)
class Record:
    """`seen` has a row of outcomes for each step of each episode, and `done` a row of actions: see `rows.Columns`."""

    seen: np.ndarray
    done: np.ndarray
    columns: tuple[Columns, Columns]

    @property
    def episodes(self) -> int:
        return self.seen.shape[0]

    @property
    def steps(self) -> int:
        return self.seen.shape[1]

    @property
    def unsaid(self) -> np.ndarray:
        """Which actions are not told though something was seen or done after them: episodes × steps × actions."""
        seen, done = (of.known(rows) for of, rows in zip(self.columns, (self.seen, self.done), strict=True))
        told: np.ndarray = np.asarray(np.concatenate([seen, done], axis=-1).any(axis=-1))
        later: np.ndarray = np.cumsum(told[:, ::-1], axis=1)[:, ::-1] - told
        return ~done & np.expand_dims(later > 0, -1)


def apart(model: TypedModel, datasets: Sequence[Dataset]) -> tuple[list[Dataset], list[Dataset]]:
    """What speaks of outcomes and actions, and what of parameters, inputs and sizes."""
    assert model.agent is not None
    spoken = {name for name, role in model.agent.roles.items() if role != "state"}
    records, others = [], []
    for dataset in datasets:
        names = [name for name in dataset.values if name.partition("[")[0] in spoken]
        if names:
            records.append(replace(dataset, values={n: dataset.values[n] for n in names}))
        known = {*model.variables, *model.sets, *size_names(model)}
        rest = {n: v for n, v in dataset.values.items() if n not in names and (dataset.strict or not names or n in known)}
        for name in rest:
            if model.agent.roles.get(name.partition("[")[0]) == "state":
                text = f"`{name}` is a state of `{model.name}`: it is hidden, and stands in no record"
                raise AimError([Diagnostic("AIM0413", text, None, "`where` says what it is in the agent's own world", where=dataset.name)])
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
    _refuse_uneven(columns, datasets)
    lengths = {name: c.shape[1] for name, c in columns.items() if network.seen.column(name) is not None}
    if not any(lengths.values()):
        names = ", ".join(f.name for f in network.seen.factors)
        raise AimError([Diagnostic("AIM0413", "the record holds no outcome", None, f"it may hold {names}", where=_where(datasets))])
    steps = max(lengths.values())
    short = [name for name, n in lengths.items() if n != steps]
    if short:
        longest = next(name for name, n in lengths.items() if n == steps)
        text = f"`{short[0]}` has {lengths[short[0]]} steps, `{longest}` has {steps}"
        raise AimError([Diagnostic("AIM0413", text, None, "write null where nothing was seen", where=_where(datasets))])
    for name, count in ((name, c.shape[1]) for name, c in columns.items() if network.done.column(name) is not None):
        if count > steps:
            text = f"`{name}` has {count} entries, but there are {steps} steps"
            raise AimError(
                [Diagnostic("AIM0413", text, None, "an action follows each outcome; the last needs none", where=_where(datasets))]
            )
    episodes = len(next(iter(columns.values())))
    seen, done = (_rows(of, columns, episodes, steps) for of in (network.seen, network.done))
    return Record(seen, done, (network.seen, network.done))


def _rows(of: Columns, columns: Mapping[str, np.ndarray], episodes: int, steps: int) -> np.ndarray:
    """The rows of some factors, for each step of each episode."""
    found = np.broadcast_to(of.blank, (episodes, steps, len(of.blank))).copy()
    for name, column in columns.items():
        at = of.column(name)
        if at is not None:
            found[:, : column.shape[1], at] = column.reshape(*column.shape[:2], -1)
    return found


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


def _columns(
    network: AgentNetwork, name: str, value: np.ndarray, where: str, findings: Findings, *, several: bool = True
) -> dict[str, np.ndarray]:
    """The series of each factor that a given value speaks of, episodes × steps: `pull` may be given whole, steps × members, or as
    `pull[0]`; with one more axis in front these are several episodes, where there may be."""
    factors = _spoken(network, name)
    if not factors:
        findings.error("AIM0605", f"there is no `{name}` in `{network.model.name}`", None, where=where)
        return {}
    single = name != factors[0].variable.name
    variable = _over_time(factors[0].variable, plates=not single)
    several = several and value.ndim == len(variable.type.axes) + 1
    flat = value.reshape(-1, *value.shape[2:]) if several else value
    before = len(findings.errors)
    found = assemble((Given(name, variable, flat, where),), network.bound.sizes, findings)
    if found is None:
        if len(findings.errors) == before:  # two lengths of one set, which a model would tell where sizes are settled
            wanted = [network.bound.length(axis) for axis in variable.type.axes[1:]]
            text = f"`{name}` has the shape {list(flat.shape[1:])} at a step, and in `{network.model.name}` it has {wanted}"
            findings.error("AIM0611", text, None, "give an entry for each member; null where nothing was seen", where=where)
        return {}
    columns = {name: found} if single else {f.name: found[(slice(None), *f.place)] for f in factors}
    first = value.shape[:2] if several else (1, len(value))
    return {n: c.reshape(*first, *c.shape[1:]) for n, c in columns.items()}


def _spoken(network: AgentNetwork, name: str) -> list[Factor]:
    """The outcomes or actions that a name speaks of: all members of a plate, or one of them."""
    variable = name.partition("[")[0]
    own = [f for f in (*network.seen.factors, *network.done.factors) if f.variable.name == variable]
    return own if name == variable else [one for f in own for one in f.singles if one.name == name]


def _over_time(variable: Variable, *, plates: bool) -> Variable:
    own = variable.type.axes if plates else variable.type.axes[variable.plates :]
    return replace(variable, type=replace(variable.type, axes=(Axis(), *own)), plates=1 + (variable.plates if plates else 0))


def one_step(network: AgentNetwork, values: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """What is said of one step, by name: what was seen and what was done, as rows. Raises `AimError` at what is wrong."""
    variables = [f.variable.name for f in (*network.seen.factors, *network.done.factors)]
    findings = Findings()
    found: dict[str, Any] = {}
    for name, value in values.items():
        if not _spoken(network, name):
            known = list(dict.fromkeys(variables))
            hint = did_you_mean(name, known) or "it has " + ", ".join(known)
            findings.error("AIM0605", f"agent `{network.model.name}` has no outcome or action `{name}`", None, hint)
            continue
        array = from_mapping({name: value}, "").values[name]
        found |= {n: c[0, 0] for n, c in _columns(network, name, array[None], "", findings, several=False).items()}
    findings.raise_errors()
    return network.seen.of(found), network.done.of(found)
