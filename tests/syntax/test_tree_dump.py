"""The text of the tree is stable and says everything but places."""

from __future__ import annotations

from reading import PROGRAMS, read

from ppl.syntax.dump import dump

COIN = """\
File
  items:
    - ModelDeclaration kind="model" name="coin"
      parameters:
        - Parameter name="a"
          default: Number text="1"
      body:
        - Plate
          binders:
            - Binder name="n"
              set: Name name="N"
          body:
            - Random
              target: Target name="x"
                indices:
                  - Name name="n"
              distribution: Call
                function: Name name="Bernoulli"
                arguments:
                  - Argument name="p"
                    value: Name name="a"
    - ApproximateDeclaration model="coin"
      items:
        - Factorisation
          blocks:
            block:
              - Target name="x" primes=1
"""


def test_a_small_tree() -> None:
    assert dump(read("model coin(a = 1):\n    for n in N: x[n] ~ Bernoulli(p = a)\n\napproximate coin:\n    q(x')\n")) == COIN


def test_different_trees_have_different_texts() -> None:
    files = [read(path.read_text(encoding="utf-8")) for path in PROGRAMS]
    texts = [dump(file) for file in files]
    for one, text in zip(files, texts, strict=True):
        assert [text == other for other in texts] == [one == other for other in files]
