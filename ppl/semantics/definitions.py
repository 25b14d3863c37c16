"""What each statement of a model defines, before any of them is checked: loops, indices, and the axes that they give a variable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ppl.semantics.affine import Affine, affine_of, extreme, loop_bounds, number, size_of, surely_at_least
from ppl.semantics.calls import is_whole
from ppl.semantics.expressions import elaborate
from ppl.semantics.scope import ActiveLoop, ModelNames, Piece, Scope, StatementNotes, walk
from ppl.semantics.sets import loop_of
from ppl.semantics.typed import Axis, IndexSet, Loop, Member, TypedExpression
from ppl.semantics.types import anonymous_set, is_anonymous
from ppl.source.diagnostics import Related
from ppl.syntax import tree

Defining = tree.Random | tree.Deterministic | tree.StateDeclaration | tree.ActionDeclaration | tree.Observe


@dataclass(frozen=True)
class Leaf:
    """A statement with the loops around it and what it defines; `piece` None where it defines nothing that stands."""

    statement: tree.Statement
    order: int
    loops: tuple[ActiveLoop, ...]
    piece: Piece | None = None

    @property
    def typed_loops(self) -> tuple[Loop, ...]:
        return tuple(active.loop for active in self.loops)


# ------------------------------------------------------------------ flattening
def leaves_of(body: tuple[tree.Statement, ...], scope: Scope) -> list[Leaf]:
    """The statements in the order of the file, plates flattened; a plate whose set is wrong is left out."""
    flat = list(_flattened(body, scope, frozenset(target.name for target in _targets(body))))
    return [Leaf(statement, order, loops) for order, (statement, loops) in enumerate(flat)]


def _flattened(
    body: tuple[tree.Statement, ...], scope: Scope, defined: frozenset[str]
) -> Iterator[tuple[tree.Statement, tuple[ActiveLoop, ...]]]:
    for statement in body:
        if not isinstance(statement, tree.Plate):
            yield statement, scope.loops
            continue
        inner = None if _refuses_ends(statement, scope, defined) else scope_of_plate(statement, scope)
        if inner is not None:
            yield from _flattened(statement.body, inner, defined)
        else:
            scope.model.broken.update(target.name for target in _targets(statement.body))


def _targets(body: tuple[tree.Statement, ...]) -> Iterator[tree.Target]:
    for statement in body:
        if isinstance(statement, tree.Plate):
            yield from _targets(statement.body)
        elif isinstance(statement, Defining):
            yield statement.target


def _refuses_ends(plate: tree.Plate, scope: Scope, defined: frozenset[str]) -> bool:
    """Whether a range ends at what the model defines, which nobody knows before it is fitted."""
    ends = [end for binder in plate.binders if isinstance(binder.set, tree.Range) for end in (binder.set.low, binder.set.high)]
    found = [n for end in ends for n in walk(end) if isinstance(n, tree.Name) and n.name in defined and scope.loop_named(n.name) is None]
    for name in found:
        text = f"a range needs ends that are known before the fit, and `{name.name}` is what the model defines"
        hint = f"write a range that is long enough, and `if i < {name.name} then … else …` where its members are used"
        scope.findings.error("AIM0202", text, name.span, hint)
    return bool(found)


def scope_of_plate(plate: tree.Plate, scope: Scope) -> Scope | None:
    """The scope inside a plate, or None where one of its sets is wrong."""
    inner = replace(scope, notes=StatementNotes({active.loop.name for active in scope.loops}))
    for binder in plate.binders:
        loop = loop_of(binder, inner, elaborate)
        if loop is None:
            return None
        inner = inner.inside((ActiveLoop(binder.name, loop),))
    return inner


# ------------------------------------------------------------------ pieces
def define(leaves: list[Leaf], scope: Scope) -> list[Leaf]:
    """The leaves with their pieces; the model then knows the axes of every variable that statements define."""
    found: list[Leaf] = []
    for leaf in leaves:
        if not isinstance(leaf.statement, Defining) or leaf.statement.target.primes:
            found.append(leaf)
            continue
        piece = _piece(leaf.statement.target, leaf, replace(scope, loops=leaf.loops, notes=StatementNotes()))
        if piece is not None and _stands(piece, scope.model):
            scope.model.pieces.setdefault(piece.name, []).append(piece)
            mentioned = {node.name for node in walk(leaf.statement) if isinstance(node, tree.Name)}
            scope.model.mentions.setdefault(piece.name, set()).update(mentioned)
            found.append(replace(leaf, piece=piece))
        else:
            if piece is None:
                scope.model.broken.add(leaf.statement.target.name)
            found.append(leaf)
    for name, pieces in scope.model.pieces.items():
        _give_axes(name, pieces, scope.model)
    return found


def _piece(target: tree.Target, leaf: Leaf, scope: Scope) -> Piece | None:
    indices = [_target_index(index, scope) for index in target.indices]
    known = tuple(index for index in indices if index is not None)
    if len(known) < len(indices):
        return None
    places: list[Affine] = []
    for index, written in zip(known, target.indices, strict=True):
        place = number(index.ordinal) if isinstance(index, Member) else affine_of(index)
        if place is None or len(place.index_names) > 1 or any(f != 1 for s, f in place.terms if s.startswith("index ")):
            hint = "write the index of a plate around, a number, or t + 1"
            scope.findings.error("AIM0211", f"`{written.span.text}` cannot stand as an index on the left", written.span, hint)
            return None
        if not place.terms and place.constant < 0:
            scope.findings.error("AIM0205", f"`{written.span.text}`: indices start at 0", written.span)
            return None
        places.append(place)
    if not _uses_all_plates(target, places, leaf, scope):
        return None
    return Piece(target.name, leaf.order, leaf.loops, known, tuple(places), target.span)


def _target_index(written: tree.Expression, scope: Scope) -> TypedExpression | None:
    if isinstance(written, tree.Range):
        scope.findings.error("AIM0211", "a slice cannot stand on the left", written.span, "define one index at a time, in a plate")
        return None
    index = elaborate(written, scope)
    if index is not None and index.type.kind != "member" and not is_whole(index, scope):
        scope.findings.error("AIM0211", f"`{written.span.text}` cannot stand as an index on the left", written.span)
        return None
    return index


def _uses_all_plates(target: tree.Target, places: list[Affine], leaf: Leaf, scope: Scope) -> bool:
    """Each plate around must show in the indices, once: otherwise the variable is defined again for each member."""
    used = [name for place in places for name in place.index_names]
    for active in leaf.loops:
        if active.loop.name not in used:
            every = ", ".join([*(index.span.text for index in target.indices), active.written])
            hidden = sum(other.written == active.written for other in leaf.loops) > 1
            hint = "give the inner index another name" if hidden else f"write {target.name}[{every}], or move it out of the plate"
            message = f"`{target.name}` is defined again for each {active.written} in `{active.loop.set.key}`"
            scope.findings.error("AIM0211", message, target.span, hint)
            return False
        if used.count(active.loop.name) > 1:
            scope.findings.error(
                "AIM0211", f"the index `{active.written}` stands twice on the left", target.span, "use a plate for each axis"
            )
            return False
    return True


# ------------------------------------------------------------------ twice, and gaps
def _stands(piece: Piece, model: ModelNames) -> bool:
    """Whether the piece defines something new; an error shows both places where it does not."""
    name = piece.name
    first = model.variables.get(name)
    if first is not None or name in model.networks:
        related = (Related(first.span, f"`{name}` is defined here first"),) if first is not None else ()
        model.findings.error("AIM0101", f"`{name}` is already defined", piece.span, "give one of them another name", related=related)
        return False
    for before in model.pieces.get(name, ()):
        related = (Related(before.span, f"`{name}` is defined here first"),)
        if len(before.places) != len(piece.places):
            message = f"`{name}` has {_counted(len(piece.places))} here and {_counted(len(before.places))} above"
            model.findings.error(
                "AIM0215" if before.places and piece.places else "AIM0101", _twice_or(message, before, piece), piece.span, related=related
            )
            return False
        if _overlap(before, piece):
            hint = "each index is defined once" if piece.places else "give one of them another name"
            model.findings.error("AIM0101", f"`{piece.span.text}` is already defined", piece.span, hint, related=related)
            return False
    return True


def _counted(count: int) -> str:
    return f"{count} {'index' if count == 1 else 'indices'}" if count else "no index"


def _twice_or(message: str, before: Piece, piece: Piece) -> str:
    return message if before.places and piece.places else f"`{piece.name}` is already defined: {message}"


def _ranges(piece: Piece) -> list[tuple[Affine, Affine]]:
    """The least and the largest place at each index."""
    bounds = {active.loop.name: b for active in piece.loops if (b := loop_bounds(active.loop)) is not None}
    return [(extreme(place, bounds, largest=False), extreme(place, bounds, largest=True)) for place in piece.places]


def _overlap(a: Piece, b: Piece) -> bool:
    """Whether two pieces meet in some index; where that depends on a size, only if no size could keep them apart."""
    return not any(_apart(one, other) for one, other in zip(_ranges(a), _ranges(b), strict=True))


def _apart(a: tuple[Affine, Affine], b: tuple[Affine, Affine]) -> bool:
    return any(surely_at_least(low - high, 1) or _may_be_apart(low - high) for low, high in ((a[0], b[1]), (b[0], a[1])))


def _may_be_apart(gap: Affine) -> bool:
    """A constant place against the end of a set of unknown size: `z[0]` and `z[T - 1]`."""
    return any(factor > 0 for _, factor in gap.terms)


def _give_axes(name: str, pieces: list[Piece], model: ModelNames) -> None:
    axes = [_axis(name, place, pieces, model) for place in range(len(pieces[0].places))]
    known = tuple(axis for axis in axes if axis is not None)
    if len(known) < len(axes):
        model.broken.add(name)
        return
    model.plates[name] = known
    find_gap(name, pieces, known, model)


def _axis(name: str, place: int, pieces: list[Piece], model: ModelNames) -> Axis | None:
    """The set that the indices at one place run over, and how many more members they reach."""
    found: IndexSet | None = None
    for piece in pieces:
        own = _set_at(piece, place)
        if own is None:
            continue
        if found is not None and own.key != found.key and not (is_anonymous(own) or is_anonymous(found)):
            found = _last_of_chain(pieces, place)
            if found is not None:
                break
            message = f"`{name}` is over `{own.key}` here and over another set above"
            model.findings.error("AIM0215", message, piece.span, related=(Related(pieces[0].span, "the first definition"),))
            return None
        found = own if found is None or (is_anonymous(found) and not is_anonymous(own)) else found
    return _reached_axis(found, [_ranges(piece)[place][1] for piece in pieces])


def _reached_axis(found: IndexSet | None, tops: list[Affine]) -> Axis:
    """The axis over a set that reaches the largest index of every piece."""
    if found is None or (is_anonymous(found) and found.low == 0):
        most = max((top.constant for top in tops if not top.terms), default=None)
        size = most + 1 if most is not None else None
        return Axis(anonymous_set(size)) if size is not None and found is not None else Axis(size=size)
    last = size_of(found).plus(found.low - 1)
    beyond = [(top - last).constant for top in tops if not (top - last).terms]
    return Axis(found, extra=max(beyond, default=0) if found.members is None else 0)


def _last_of_chain(pieces: list[Piece], place: int) -> IndexSet | None:
    """`y[k] for k in P` and `y[t] for t in P..T`: where each range begins at the end of another, the set of the last."""
    waiting = {count: (_ranges(piece)[place], _set_at(piece, place)) for count, piece in enumerate(pieces)}
    reached, last = number(0), None
    while waiting:
        follower = next((n for n, ((low, _), _) in waiting.items() if low == reached), None)
        if follower is None:
            return None
        (_, high), last = waiting.pop(follower)
        reached = high.plus(1)
    return last


def _set_at(piece: Piece, place: int) -> IndexSet | None:
    index = piece.indices[place]
    if isinstance(index, Member):
        return index.set
    for symbol, _ in piece.places[place].terms:
        for active in piece.loops:
            if symbol == f"index {active.loop.name}":
                return active.loop.set
        if symbol.startswith("size "):
            return IndexSet(symbol.removeprefix("size "))
    return None


def find_gap(name: str, pieces: list[Piece], axes: tuple[Axis, ...], model: ModelNames, hint: str = "") -> None:
    """`z[t]` for t in 1..T without `z[0]`: an index of the axis that no statement defines."""
    for place, axis in enumerate(axes):
        reached = number(axis.set.low if axis.set else 0)
        ranges = sorted((_ranges(piece)[place] for piece in pieces), key=lambda r: (bool(r[0].terms), r[0].constant))
        for low, high in ranges:
            gap = low - reached
            if not gap.terms and gap.constant > 0:
                shown = ", ".join(str(reached.constant) if p == place else "…" for p in range(len(axes)))
                todo = hint or f"define `{name}[{shown}]` too, or start the range at {reached.constant}"
                model.findings.error("AIM0116", f"`{name}[{shown}]` is not defined", pieces[0].span, todo)
                model.broken.add(name)
                return
            if surely_at_least(high - reached, 0) or (high - reached).terms:
                reached = high.plus(1)
        _check_end(name, pieces, axis, reached, model)


def _check_end(name: str, pieces: list[Piece], axis: Axis, reached: Affine, model: ModelNames) -> None:
    """All members of a set of named members must be reached."""
    if axis.set is None or axis.set.members is None or reached.terms:
        return
    missing = axis.set.members[reached.constant :]
    if missing:
        left_out = ", ".join(f"`{name}[{member}]`" for member in missing)
        model.findings.error("AIM0116", f"{left_out} {'is' if len(missing) == 1 else 'are'} not defined", pieces[-1].span)
        model.broken.add(name)
