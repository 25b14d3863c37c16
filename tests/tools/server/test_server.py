"""The language server, spoken to as an editor does: over pipes in this process, and once as the command that an editor starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pytest

from ppl.tools.command_line import status
from ppl.tools.server.protocol import make_server

REPOSITORY = Path(__file__).parents[3]
URI = "file:///somewhere/model.aim"
COIN = """type Side = {heads, tails}

model coin(a = 1):
    "A coin."
    theta ~ Beta(a, b = 1)
    for n in N:
        x[n] ~ Bernoulli(theta)

fit coin to x = [1, 0, 1]
"""


class Editor:
    """The other end of the protocol."""

    def __init__(self, to_server: IO[bytes], from_server: IO[bytes]) -> None:
        self.to_server, self.from_server = to_server, from_server
        self.asked, self.version = 0, 0
        self.told: dict[str, list[dict[str, Any]]] = {}  # diagnostics by file, the last ones

    def send(self, method: str, params: Any, number: int | None = None) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params} | ({"id": number} if number is not None else {})
        data = json.dumps(message).encode()
        self.to_server.write(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        self.to_server.flush()

    def receive(self) -> dict[str, Any]:
        length = 0
        while (line := self.from_server.readline().strip()) or not length:
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        message = json.loads(self.from_server.read(length))
        if message.get("method") == "textDocument/publishDiagnostics":
            self.told[message["params"]["uri"]] = message["params"]["diagnostics"]
        return message

    def ask(self, method: str, params: Any) -> Any:
        self.asked += 1
        self.send(method, params, self.asked)
        while (message := self.receive()).get("id") != self.asked:
            pass
        assert "error" not in message, message
        return message["result"]

    def refusal(self, method: str, params: Any) -> dict[str, Any]:
        """The error that answers a request."""
        self.asked += 1
        self.send(method, params, self.asked)
        while (message := self.receive()).get("id") != self.asked:
            pass
        return message["error"]

    def begin(self, encodings: list[str] | None = None) -> Any:
        general = {"general": {"positionEncodings": encodings}} if encodings else {}
        told = self.ask("initialize", {"processId": None, "rootUri": None, "capabilities": general})
        self.send("initialized", {})
        return told

    def open(self, text: str, uri: str = URI) -> list[dict[str, Any]]:
        """The diagnostics of a text."""
        self.told.pop(uri, None)
        self.send("textDocument/didOpen", {"textDocument": {"uri": uri, "languageId": "aim", "version": 0, "text": text}})
        return self.wait(uri)

    def change(self, text: str, uri: str = URI) -> list[dict[str, Any]]:
        self.version += 1
        self.told.pop(uri, None)
        self.send("textDocument/didChange", {"textDocument": {"uri": uri, "version": self.version}, "contentChanges": [{"text": text}]})
        return self.wait(uri)

    def wait(self, uri: str) -> list[dict[str, Any]]:
        while uri not in self.told:
            self.receive()
        return self.told[uri]

    def at(self, method: str, line: int, character: int, uri: str = URI) -> Any:
        return self.ask(f"textDocument/{method}", {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}})

    def hover(self, line: int, character: int) -> str:
        found = self.at("hover", line, character)
        return found["contents"]["value"] if found else ""

    def labels(self, line: int, character: int) -> list[str]:
        return [item["label"] for item in self.at("completion", line, character)["items"]]

    def end(self) -> None:
        self.ask("shutdown", None)
        self.send("exit", None)


@pytest.fixture
def editor() -> Iterator[Editor]:
    server_in, to_server = os.pipe()
    from_server, server_out = os.pipe()
    server = make_server()
    server.families.patience = 60
    ends = os.fdopen(server_in, "rb"), os.fdopen(server_out, "wb")
    thread = threading.Thread(target=_served, args=(server, *ends), daemon=True)
    thread.start()
    editor = Editor(os.fdopen(to_server, "wb"), os.fdopen(from_server, "rb"))
    editor.begin()
    yield editor
    editor.end()
    thread.join(10)
    assert not thread.is_alive()


def _served(server: Any, *ends: Any) -> None:
    with suppress(SystemExit):
        server.start_io(*ends)


# ------------------------------------------------------------------ diagnostics
def test_a_right_file_has_no_diagnostics(editor: Editor) -> None:
    assert editor.open(COIN) == []


def test_all_mistakes_come_with_code_place_and_hint(editor: Editor) -> None:
    found = editor.open("model m:\n    x ~ Normal(0, sgima)\n    sigma ~ Gamma(1, 1)\n    sigma = 2\n    y ~ Nromal(0, 1)\n")
    assert {d["code"] for d in found} >= {"AIM0101", "AIM0301"}
    wrong = next(d for d in found if d["code"] == "AIM0301")
    assert wrong["range"] == {"start": {"line": 4, "character": 8}, "end": {"line": 4, "character": 14}}
    assert wrong["severity"] == 1 and wrong["source"] == "aim" and "did you mean `Normal`?" in wrong["message"]
    twice = next(d for d in found if d["code"] == "AIM0101")
    assert twice["relatedInformation"][0]["location"]["uri"] == URI
    assert twice["relatedInformation"][0]["location"]["range"]["start"]["line"] == 2


def test_what_is_typed_is_read_at_once(editor: Editor) -> None:
    editor.open(COIN)
    assert [d["code"] for d in editor.change(COIN.replace("(theta)", "(thata)"))] == ["AIM0104"]
    assert editor.change(COIN) == []
    assert [d["code"] for d in editor.change("")] == ["AIM0018"]


def test_places_behind_wide_characters(editor: Editor) -> None:
    """LSP counts UTF-16 units unless another unit is agreed upon; 𝛼 is two of them."""
    (found,) = editor.open("model m:\n    𝛼 ~ Normal(sgima, 1)\n")
    assert found["range"]["start"] == {"line": 1, "character": 16}
    assert "random 𝛼: real" in editor.hover(1, 5) or editor.hover(1, 5)
    assert "mean" in editor.hover(1, 10)


def test_mistakes_of_an_imported_file_stand_at_its_import(editor: Editor, tmp_path: Path) -> None:
    (tmp_path / "other.aim").write_text("model other:\n    x ~ Normal(0, sgima)\n")
    uri = (tmp_path / "main.aim").as_uri()
    found = editor.open("from other import other\n\nmodel m:\n    y ~ Normal(0, 1)\n", uri)
    wrong = next(d for d in found if d["code"] == "AIM0104")
    assert wrong["range"]["start"] == {"line": 0, "character": 5}
    assert wrong["relatedInformation"][0]["location"]["uri"] == (tmp_path / "other.aim").as_uri()


def test_an_import_is_read_as_it_is_in_the_editor(editor: Editor, tmp_path: Path) -> None:
    (tmp_path / "other.aim").write_text("model old:\n    x ~ Normal(0, 1)\n")
    main = "from other import fresh\n\nmodel m:\n    y ~ fresh()\n"
    assert "AIM0109" in {d["code"] for d in editor.open(main, (tmp_path / "main.aim").as_uri())}
    other = (tmp_path / "other.aim").as_uri()
    editor.open("model fresh:\n    x ~ Normal(0, 1)\n", other)
    editor.told.clear()
    editor.send("textDocument/didSave", {"textDocument": {"uri": other}})
    assert editor.wait((tmp_path / "main.aim").as_uri()) == []


def test_closing_a_file_takes_its_diagnostics_away(editor: Editor) -> None:
    assert editor.open("model m:\n    x ~ Normal(0, sgima)\n")
    editor.told.clear()
    editor.send("textDocument/didClose", {"textDocument": {"uri": URI}})
    assert editor.wait(URI) == []


# ------------------------------------------------------------------ hover
def test_a_name_shows_role_type_shape_statement_and_family(editor: Editor) -> None:
    editor.open(COIN)
    text = editor.hover(6, 25)
    assert "random theta: unit" in text and "theta ~ Beta(a, b = 1)" in text and "believed as Beta" in text
    text = editor.hover(6, 8)
    assert "random x: bool[N]" in text and "shape N" in text and "N (size from the data)" in text
    assert "n in N" in editor.hover(6, 10) and "index" in editor.hover(6, 10)
    assert "parameter a: real" in editor.hover(4, 17)
    assert "A coin." in editor.hover(8, 5)


def test_words_of_the_catalogue_and_keywords_are_told(editor: Editor) -> None:
    editor.open(COIN)
    text = editor.hover(4, 13)
    assert "Beta(a, b)" in text and "support: unit" in text
    assert "a parameter of Beta" in editor.hover(4, 20)
    assert "for n in N" in editor.hover(5, 5)
    assert "member 0 of `Side`" in editor.hover(0, 14)
    editor.change("model m:\n    x = exp(1)\n    y ~ Normal(0, sd = 2)\n")
    assert "exp(x)" in editor.hover(1, 9) and "element by element" in editor.hover(1, 9)
    assert "sd: positive" in editor.hover(2, 19)
    assert editor.hover(1, 0) == ""


def test_a_model_that_has_a_mistake_is_known_as_it_was(editor: Editor) -> None:
    editor.open(COIN)
    assert editor.change(COIN.replace("Bernoulli(theta)", "Bernoulli(theta"))
    assert "random theta: unit" in editor.hover(4, 6)


# ------------------------------------------------------------------ completion
@pytest.mark.parametrize(
    ("line", "first", "also", "never"),
    [
        ("    y ~ ", "Normal", {"coin"}, set()),
        ("    y ~ Bet", "Normal", {"Beta"}, set()),
        ("    y ~ Normal(", "mean", {"theta", "exp", "heads"}, {"Beta"}),
        ("    y ~ Normal(0, ", "sd", {"var", "precision"}, {"Normal"}),
        ("    input ", None, set(), {"theta", "exp"}),
        ("    y ~ Normal(mean = 0, var = 1", None, set(), {"sd", "precision"}),
        ("    y = ", "a", {"theta", "exp", "if"}, {"Normal"}),
        ("    input u: ", "real", {"Side", "size"}, {"theta", "exp"}),
        ("    for m in ", "Side", {"N"}, {"theta"}),
        ("    ", "network", {"for", "input", "state"}, {"model", "Normal"}),
        ("", "from", {"model", "agent", "test"}, {"input", "theta"}),
        ("approximate ", "coin", set(), {"theta"}),
        ("approximate coin: use ", "exact", {"vmp", "nuts"}, {"theta"}),
        ("approximate coin: use vmp(", "iterations", {"restarts"}, set()),
        ("    # the ", None, set(), {"theta"}),
        ('    y = csv("the', None, set(), {"theta"}),
    ],
)
def test_what_may_stand_at_a_place(editor: Editor, line: str, first: str | None, also: set[str], never: set[str]) -> None:
    head = COIN[: COIN.index("\nfit")]
    editor.open(head)
    editor.change(head + line)
    labels = editor.labels(head.count("\n"), len(line))
    assert (labels[0] if labels else None) == first or first is None
    assert also <= set(labels) and not never & set(labels), labels
    assert len(labels) == len(set(labels))


def test_indices_are_offered_inside_their_loop_only(editor: Editor) -> None:
    text = "model m:\n    for n in N:\n        x[n] ~ Normal(0, 1)\n        y[n] = \n    z = \n"
    editor.open(text)
    assert editor.labels(3, 15)[0] == "n" and "n" not in editor.labels(4, 8)


def test_variables_of_a_submodel_are_offered_behind_a_point(editor: Editor) -> None:
    head = "model part:\n    bias ~ Normal(0, 1)\n    y ~ Normal(bias, 1)\n\nmodel m:\n    first ~ part()\n"
    editor.open(head)
    editor.change(head + "    z = first.")
    assert editor.labels(6, 14) == ["bias"]


# ------------------------------------------------------------------ files
def test_a_file_is_laid_out_whole_and_a_broken_one_is_left_alone(editor: Editor) -> None:
    messy = "model m:\n  x ~ Normal(0,1)   # a comment\n"
    editor.open(messy)
    ask = {"textDocument": {"uri": URI}, "options": {"tabSize": 4, "insertSpaces": True}}
    (edit,) = editor.ask("textDocument/formatting", ask)
    assert edit["newText"] == "model m:\n    x ~ Normal(0, sd = 1)  # a comment\n"
    assert edit["range"] == {"start": {"line": 0, "character": 0}, "end": {"line": 2, "character": 0}}
    editor.change(edit["newText"])
    assert editor.ask("textDocument/formatting", ask) == []
    editor.change("model m:\n  x ~ Normal(0,\n")
    assert editor.ask("textDocument/formatting", ask) is None


def test_definitions_are_found_in_this_file_and_in_others(editor: Editor, tmp_path: Path) -> None:
    editor.open(COIN)
    assert editor.at("definition", 6, 26)["range"] == {"start": {"line": 4, "character": 4}, "end": {"line": 4, "character": 9}}
    assert editor.at("definition", 6, 10)["range"]["start"] == {"line": 5, "character": 8}
    assert editor.at("definition", 8, 5)["range"]["start"] == {"line": 2, "character": 6}
    assert editor.at("definition", 4, 13) is None
    (tmp_path / "other.aim").write_text("fn twice(x) = 2 * x\n\nmodel part:\n    y ~ Normal(0, 1)\n")
    uri = (tmp_path / "main.aim").as_uri()
    editor.open("from other import part, twice\n\nmodel m:\n    y ~ part()\n    z = twice(y)\n", uri)
    for place, line in (((3, 9), 2), ((4, 9), 0)):
        found = editor.at("definition", *place, uri)
        assert found["uri"] == (tmp_path / "other.aim").as_uri() and found["range"]["start"]["line"] == line


def test_the_outline_lists_models_with_what_they_define(editor: Editor) -> None:
    editor.open(COIN + '\ntest "heads":\n    fit coin to x = [1]\n    expect exact\n')
    entries = editor.ask("textDocument/documentSymbol", {"textDocument": {"uri": URI}})
    assert [(e["name"], e["detail"]) for e in entries] == [("Side", "type"), ("coin", "model"), ("heads", "test")]
    assert [(e["name"], e["detail"]) for e in entries[1]["children"]] == [("a", "parameter"), ("theta", "random"), ("x", "random")]


# ------------------------------------------------------------------ as an editor starts it
def test_the_command_speaks_over_stdio_and_loads_no_jax() -> None:
    """A whole conversation with the process; what it imported is told by the interpreter itself."""
    command = [sys.executable, "-X", "importtime", "-m", "ppl", "server"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY)
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    said: list[bytes] = []
    reading = threading.Thread(target=lambda: said.append(process.stderr.read()), daemon=True)  # type: ignore[union-attr]
    reading.start()
    editor = Editor(process.stdin, process.stdout)
    capabilities = editor.begin(["utf-32", "utf-16"])["capabilities"]
    for name in ("hoverProvider", "completionProvider", "definitionProvider", "documentFormattingProvider", "documentSymbolProvider"):
        assert capabilities[name]
    assert editor.open(COIN) == []
    assert [d["code"] for d in editor.change(COIN.replace("theta)", "thata)"))] == ["AIM0104"]
    assert "Normal" in editor.labels(4, 12)
    assert editor.at("definition", 8, 5) is not None
    editor.end()
    assert process.wait(10) == 0
    reading.join(10)
    imported = {line.split(b"|")[-1].strip() for line in said[0].splitlines() if line.startswith(b"import time:")}
    assert b"pygls.lsp.server" in imported and not any(name.split(b".")[0] in (b"jax", b"jaxlib", b"numpyro") for name in imported)


def test_without_its_package_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "pygls", None)
    assert status(["server"]) == 1
    assert "pip install 'aim-ppl[server]'" in capsys.readouterr().err


def test_a_file_that_is_nowhere_is_told(editor: Editor, tmp_path: Path) -> None:
    uri = (tmp_path / "nowhere.aim").as_uri()
    error = editor.refusal("textDocument/hover", {"textDocument": {"uri": uri}, "position": {"line": 0, "character": 0}})
    assert error["code"] == -32602
    assert "nowhere.aim` is not open, and cannot be read: no such file or directory" in error["message"]
    assert editor.open(COIN) == []  # and the server goes on
