"""Parse the text of a ``.proto`` file; what compatibility does not look at is skipped.

Source: Protocol Buffers language specification, proto2 and proto3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from eventhub.errors import InvalidSchema
from eventhub.registry.compatibility.bounds import SCHEMA_BYTES, SCHEMA_DEPTH
from eventhub.registry.compatibility.proto_descriptor import read_descriptor
from eventhub.registry.compatibility.proto_model import SCALARS, Enum, Field, Message, ProtoFile, resolved

_WORD: Final = re.compile(
    r"""\s+|//[^\n]*|/\*.*?\*/
    |(?P<word>\.?[A-Za-z_][\w.]*|-?[0-9][\w.+-]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[][{}()<>;=,:+-])""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")  # the text of a file has a semicolon or a brace
_LABELS: Final = frozenset({"optional", "required", "repeated"})
_SKIPPED: Final = frozenset({"option", "reserved", "extensions"})


def parse_protobuf(text: str, documents: Mapping[str, str]) -> ProtoFile:
    """Parse a file, as text or as a descriptor in base64, and resolve its names.

    Args:
        text: The file.
        documents: The registered files that it imports, by the path under which it does.

    Raises:
        InvalidSchema: If one of them is no Protobuf, or larger or deeper than allowed.
    """
    return resolved(_parsed(text), {path: _parsed(each) for path, each in documents.items()})


def _parsed(text: str) -> ProtoFile:
    return read_descriptor(text) if _BASE64.fullmatch(text.strip()) else parse_proto(text)


def parse_proto(text: str) -> ProtoFile:
    """Parse the text of a file; names are left as they stand.

    Raises:
        InvalidSchema: If it is no Protobuf, or larger or deeper than allowed.
    """
    if len(text.encode(errors="surrogatepass")) > SCHEMA_BYTES:
        msg = f"schema is larger than {SCHEMA_BYTES} bytes"
        raise InvalidSchema(msg)
    return _Parser(list(_words(text))).file()


def _words(text: str) -> Iterator[tuple[str, int]]:
    """The words of a text without spaces and comments, each with its line."""
    at, line = 0, 1
    while at < len(text):
        match = _WORD.match(text, at)
        if match is None:
            raise _invalid(line, f"{text[at : at + 20]!r} is no Protobuf")
        if match["word"]:
            yield match["word"], line
        line += match[0].count("\n")
        at = match.end()


def _invalid(line: int, problem: str) -> InvalidSchema:
    return InvalidSchema(f"invalid schema in line {line}: {problem}")


@dataclass
class _Body:
    """What was found between two braces."""

    fields: list[Field] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    enums: list[Enum] = field(default_factory=list)


class _Parser:
    """Reads words from left to right."""

    def __init__(self, words: list[tuple[str, int]]) -> None:
        self._words = words
        self._at = 0

    def file(self) -> ProtoFile:
        """The whole file."""
        package, syntax, imports, body = "", "proto2", [], _Body()
        while self._at < len(self._words):
            match self._next():
                case "syntax" | "edition":
                    self._expect("=")
                    syntax = self._next().strip("\"'")
                    self._expect(";")
                case "package":
                    package = self._next()
                    self._expect(";")
                case "import":
                    path = self._next()
                    imports.append((self._next() if path in {"public", "weak"} else path).strip("\"'"))
                    self._expect(";")
                case "message" | "enum" as kind:
                    self._definition(kind, body, 0)
                case ";":
                    pass
                case "option" | "service" | "extend":
                    self._skip()
                case other:
                    raise self._unexpected(other)
        return ProtoFile(package, syntax, tuple(imports), tuple(body.messages), tuple(body.enums))

    def _definition(self, kind: str, body: _Body, depth: int) -> None:
        if depth > SCHEMA_DEPTH:
            raise _invalid(self._line(), f"messages are nested deeper than {SCHEMA_DEPTH}")
        name = self._name()
        self._expect("{")
        if kind == "enum":
            body.enums.append(Enum(name, tuple(self._values())))
            return
        inner = _Body()
        while (word := self._next()) != "}":
            self._member(word, inner, depth)
        body.messages.append(Message(name, tuple(inner.fields), tuple(inner.messages), tuple(inner.enums)))

    def _member(self, word: str, body: _Body, depth: int) -> None:
        """One statement of a message."""
        if word in {"message", "enum"} and self._peek(1) == "{":
            self._definition(word, body, depth + 1)
        elif word == "oneof" and self._peek(1) == "{":
            self._oneof(body)
        elif word in _SKIPPED or (word == "extend" and self._peek(1) == "{"):
            self._skip()
        elif word != ";":
            body.fields.append(self._field(word, ""))

    def _oneof(self, body: _Body) -> None:
        name = self._name()
        self._expect("{")
        while (word := self._next()) != "}":
            if word == "option":
                self._skip()
            elif word != ";":
                body.fields.append(self._field(word, name))

    def _field(self, word: str, oneof: str) -> Field:
        label = word if word in {"required", "repeated"} else ""  # optional says nothing here
        type_ = self._next() if word in _LABELS else word
        if type_ == "map" and self._peek() == "<":
            self._expect("<")
            key = self._next()
            self._expect(",")
            named = f"{key},{self._next()}"
            self._expect(">")
            return Field(self._name(), self._number(), "repeated", "map", named, oneof)
        if not _NAME.match(type_.lstrip(".")) or type_ == "group":
            raise self._unexpected(type_)
        name = self._name()
        if type_ in SCALARS and type_ not in {"message", "enum"}:
            return Field(name, self._number(), label, type_, "", oneof, word == "optional")
        return Field(name, self._number(), label, "message", type_, oneof)

    def _number(self) -> int:
        """The number after the equals sign; options behind it are skipped."""
        self._expect("=")
        text, line = self._next(), self._line()
        self._skip()
        try:
            return int(text, 0)
        except ValueError:
            raise _invalid(line, f"{text!r} is no number") from None

    def _values(self) -> Iterator[tuple[str, int]]:
        """The values of an enum."""
        while (word := self._next()) != "}":
            if word in {"option", "reserved"} and self._peek() != "=":
                self._skip()
            elif word != ";":
                self._at -= 1
                name = self._name()
                yield name, self._number()

    def _skip(self) -> None:
        """Go past the end of a statement: a semicolon, or the brace that closes its block."""
        depth = 0
        while True:
            word = self._next()
            depth += (word in "{[") - (word in "}]")
            if depth < 0:
                raise self._unexpected(word)
            if depth == 0 and word in {";", "}"}:
                return

    def _name(self) -> str:
        name = self._next()
        if not _NAME.fullmatch(name):
            raise self._unexpected(name)
        return name

    def _expect(self, wanted: str) -> None:
        word = self._next()
        if word != wanted:
            raise _invalid(self._line(), f"{wanted!r} is expected, not {word!r}")

    def _peek(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._words[at][0] if at < len(self._words) else ""

    def _next(self) -> str:
        if self._at >= len(self._words):
            raise _invalid(self._line(), "the text ends too early")
        self._at += 1
        return self._words[self._at - 1][0]

    def _line(self) -> int:
        return self._words[min(self._at, len(self._words)) - 1][1] if self._words else 1

    def _unexpected(self, word: str) -> InvalidSchema:
        return _invalid(self._line(), f"{word!r} is not expected here")
