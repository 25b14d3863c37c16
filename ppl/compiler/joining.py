"""What meets: the forms whose second moments a factor needs, and the atoms of given variables in them."""

from __future__ import annotations

from collections.abc import Container, Iterator

from ppl.compiler.forms import Atom, Form, SmoothAtom
from ppl.compiler.lowering import LoweredFactor, SecondMoment, terms_of


def joining_forms(factor: LoweredFactor) -> Iterator[Form]:
    """What meets in one of these forms is correlated."""
    for feature in factor.features():
        if isinstance(feature, SecondMoment):
            yield feature.form
        for term in terms_of(feature):
            yield from (a.form for a in term.atoms if isinstance(a, SmoothAtom))


def own_atoms(form: Form, names: Container[str]) -> list[Atom]:
    return [a for t in form.terms for a in t.atoms if isinstance(a, Atom) and a.variable in names]
