"""`match`: which values fit each arm, whether every case is covered, and what the arms have in common."""

from __future__ import annotations

from itertools import product
from math import prod

from ppl.semantics.scope import Elaborate, Scope
from ppl.semantics.tables import place_of_key
from ppl.semantics.typed import IndexSet, Select, SelectArm, TypedExpression
from ppl.semantics.types import joined, name_type
from ppl.syntax import tree

Pattern = tuple[int | float, ...] | None
Patterns = tuple[Pattern, ...]

_MOST_CASES = 100_000  # beyond that many combinations coverage is left to the run


def select(written: tree.Match, scope: Scope, expected: IndexSet | None, elaborate: Elaborate) -> TypedExpression | None:
    """`match` over values."""
    found = match_head(written, scope, elaborate)
    values = [elaborate(arm.value, scope, expected) for arm in written.arms]
    if found is None or not values or any(value is None for value in values):
        return None
    subjects, patterns = found
    arms = tuple(SelectArm(p, value) for p, value in zip(patterns, values, strict=True) if value is not None)
    return selected(subjects, arms, written, scope)


def selected(subjects: tuple[TypedExpression, ...], arms: tuple[SelectArm, ...], written: tree.Expression, scope: Scope) -> Select | None:
    """The choice between values of one type, or an error at the first arm that differs."""
    together = arms[0].value.type
    for arm in arms[1:]:
        wider = joined(together, arm.value.type)
        if wider is None:
            message = f"the arms differ: this is {name_type(arm.value.type)}, the first is {name_type(arms[0].value.type)}"
            scope.findings.error("AIM0214", message, arm.value.span, "all arms need the same shape and kind")
            return None
        together = wider
    return Select(subjects, arms, span=written.span, type=together)


def match_head(written: tree.Match, scope: Scope, elaborate: Elaborate) -> tuple[tuple[TypedExpression, ...], tuple[Patterns, ...]] | None:
    """The subjects and the patterns of each arm, checked for coverage."""
    subjects = [elaborate(subject, scope) for subject in written.subjects]
    known = tuple(subject for subject in subjects if subject is not None)
    if len(known) < len(subjects):
        return None
    for subject in known:
        if subject.type.axes:
            scope.findings.error("AIM0213", f"a subject of match is a single value, this is {name_type(subject.type)}", subject.span)
            return None
    arms = [_arm_patterns(arm, known, scope) for arm in written.arms]
    checked = tuple(arm for arm in arms if arm is not None)
    if len(checked) < len(arms) or not covers(written, known, checked, scope):
        return None
    return known, checked


def _arm_patterns(arm: tree.Arm, subjects: tuple[TypedExpression, ...], scope: Scope) -> Patterns | None:
    if len(arm.patterns) != len(subjects):
        count = f"{len(arm.patterns)} pattern{'s' if len(arm.patterns) != 1 else ''}"
        message = f"this arm has {count}, match has {len(subjects)} subject{'s' if len(subjects) != 1 else ''}"
        span = arm.patterns[0].span.to(arm.patterns[-1].span) if arm.patterns else arm.span
        scope.findings.error("AIM0213", message, span, "`_` fits any value")
        return None
    patterns: list[Pattern] = []
    failed = False
    for pattern, subject in zip(arm.patterns, subjects, strict=True):
        values = [_pattern_value(value, subject, scope) for value in pattern.alternatives]
        failed |= any(value is None for value in values)
        patterns.append(tuple(value for value in values if value is not None) if pattern.alternatives else None)
    return None if failed else tuple(patterns)


def _pattern_value(written: tree.Expression, subject: TypedExpression, scope: Scope) -> int | float | None:
    members = subject.type.member_of
    if members is not None:
        return place_of_key(written, members, scope)
    match written:
        case tree.Number(text=text) if subject.type.kind == "bool" and text not in ("0", "1"):
            scope.findings.error("AIM0213", f"`{subject.span.text}` is 0 or 1, never {text}", written.span)
            return None
        case tree.Number():
            return written.value
        case tree.Unary(operator="-", operand=tree.Number() as number):
            return -number.value
        case tree.Truth(value=value):
            return int(value)
        case tree.Name(name=name) if subject.type.kind == "bool":
            sets = [s for s in scope.model.members.get(name, ()) if s.size == 2 and s.members]
            if len(sets) == 1:
                return (sets[0].members or ()).index(name)
    scope.findings.error("AIM0213", f"`{written.span.text}` is no number, and `{subject.span.text}` is one", written.span)
    return None


# ------------------------------------------------------------------ coverage
def _cases(subject: TypedExpression) -> int | None:
    """How many values the subject may take: None where no list of patterns can name them all, -1 where the data will say."""
    if subject.type.kind == "bool":
        return 2
    members = subject.type.member_of
    if members is None:
        return None
    return -1 if members.size is None else members.size


def covers(written: tree.Match, subjects: tuple[TypedExpression, ...], arms: tuple[Patterns, ...], scope: Scope) -> bool:
    """Whether the arms fit every combination of values; the first one left out is named."""
    if any(all(pattern is None for pattern in arm) for arm in arms):
        return True
    counts = [_cases(subject) for subject in subjects]
    for place, count in enumerate(counts):
        if count is None and all(arm[place] is not None for arm in arms):
            message = f"not every value of `{subjects[place].span.text}` has an arm"
            scope.findings.error("AIM0212", message, _head_span(written), "add an arm `_ -> …`")
            return False
    ranges = [range(count) if count is not None and count > 0 else (None,) for count in counts]
    if prod(values.stop if isinstance(values, range) else 1 for values in ranges) > _MOST_CASES or -1 in counts:
        return True
    for case in product(*ranges):
        if not any(_fits(arm, case) for arm in arms):
            shown = ", ".join(_shown(value, subject) for value, subject in zip(case, subjects, strict=True))
            scope.findings.error("AIM0212", f"the case {shown} has no arm", _head_span(written), f"add an arm `{shown} -> …`")
            return False
    return True


def _fits(arm: Patterns, case: tuple[int | None, ...]) -> bool:
    return all(pattern is None or (value is not None and value in pattern) for pattern, value in zip(arm, case, strict=True))


def _shown(value: int | None, subject: TypedExpression) -> str:
    if value is None:
        return "_"
    members = subject.type.member_of
    if members is None:
        return str(value)
    return members.members[value] if members.members else str(value + members.low)


def _head_span(written: tree.Match):
    return written.subjects[0].span.to(written.subjects[-1].span)
