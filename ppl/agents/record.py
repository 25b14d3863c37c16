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
    """`seen` has a row of outcomes for each step and `done` a row of actions."""

    seen: np.ndarray
    done: np.ndarray

    @property
    def steps(self) -> int:
        return len(self.seen)


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
    lengths = {f.name: len(columns[f.name]) for f in network.seen.factors if f.name in columns}
    if not any(lengths.values()):
        names = ", ".join(f.name for f in network.seen.factors)
        raise AimError([Diagnostic("AIM0413", "the record holds no outcome", None, f"it may hold {names}", where=_where(datasets))])
    steps = max(lengths.values())
    short = [name for name, n in lengths.items() if n != steps]
    if short:
        longest = next(name for name, n in lengths.items() if n == steps)
        text = f"`{short[0]}` has {lengths[short[0]]} steps, `{longest}` has {steps}"
        raise AimError([Diagnostic("AIM0413", text, None, "write null where nothing was seen", where=_where(datasets))])
    for f in network.done.factors:
        column = columns.get(f.name, ())
        if len(column) > steps:
            text = f"`{f.name}` has {len(column)} entries, but there are {steps} steps"
            raise AimError(
                [Diagnostic("AIM0413", text, None, "an action follows each outcome; the last needs none", where=_where(datasets))]
            )
    rows = [{name: column[k] for name, column in columns.items() if k < len(column)} for k in range(steps)]
    return Record(*(np.stack([of.of(row) for row in rows]) for of in (network.seen, network.done)))


def _where(datasets: Sequence[Dataset]) -> str:
    return datasets[0].name if datasets else ""


def _columns(network: AgentNetwork, name: str, value: np.ndarray, where: str, findings: Findings) -> dict[str, np.ndarray]:
    """The series of each factor that a given value speaks of: `pull` may be given whole, steps × members, or as `pull[0]`."""
    factors = [f for f in (*network.seen.factors, *network.done.factors) if f.name == name or f.variable.name == name]
    if not factors:
        findings.error("AIM0605", f"there is no `{name}` in `{network.model.name}`", None, where=where)
        return {}
    single = factors[0].name == name
    variable = _over_time(factors[0].variable, plates=not single)
    found = assemble((Given(name, variable, value, where),), network.bound.sizes, findings)
    if found is None:
        return {}
    return {name: found} if single else {f.name: found[(slice(None), *f.place)] for f in factors}


def _over_time(variable: Variable, *, plates: bool) -> Variable:
    own = variable.type.axes if plates else variable.type.axes[variable.plates :]
    return replace(variable, type=replace(variable.type, axes=(Axis(), *own)), plates=1 + (variable.plates if plates else 0))


def one_step(network: AgentNetwork, values: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """What is said of one step, by name: what was seen and what was done, as rows. Raises `AimError` at what is wrong."""
    factors = {f.name: f for f in (*network.seen.factors, *network.done.factors)}
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
        found |= {n: c[0] for n, c in _columns(network, name, array[None], "", findings).items()}
    findings.raise_errors()
    return network.seen.of(found), network.done.of(found)
