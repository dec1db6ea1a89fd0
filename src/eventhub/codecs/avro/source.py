"""Python source that is being written: lines, the constants they speak of, and what each line is about.

A line remembers the path of the field it reads or writes, so that an error tells its place by
the line it happened on and the lines themselves carry nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable
from traceback import walk_tb
from typing import Any

FILE_NAME = "<generated avro codec>"

_INDENT = "    "
_MAX_PATH = 200  # characters; a value that nests a hundredfold has a longer one


class Source:
    """One generated module: functions that call each other, and one that is the entrance."""

    def __init__(self, **constants: Any) -> None:
        """Begin an empty module in which these names stand for these values."""
        self._constants: dict[str, Any] = constants
        self._lines: list[str] = []
        self._paths: list[str] = []
        self._tables: list[tuple[str, list[str]]] = []
        self._names = 0

    def __len__(self) -> int:
        """How many lines there are."""
        return len(self._lines)

    def name(self) -> str:
        """A variable that nothing else uses."""
        self._names += 1
        return f"v{self._names}"

    def define(self, name: str, value: Any) -> None:
        """Let a name stand for a value."""
        self._constants[name] = value

    def constant(self, value: Any) -> str:
        """A name that stands for a value."""
        self._names += 1
        name = f"C{self._names}"
        self._constants[name] = value
        return name

    def table(self, functions: list[str]) -> str:
        """A name that stands for a tuple of functions of the module, by their names; they may be written later."""
        self._names += 1
        name = f"T{self._names}"
        self._tables.append((name, functions))
        return name

    def line(self, indent: int, code: str, path: str) -> None:
        """Add a line that is about the field at a path."""
        self._lines.append(_INDENT * indent + code)
        self._paths.append(path)

    def function(self, name: str) -> Callable[..., Any]:
        """Compile the module and return one of its functions."""
        for table, functions in self._tables:
            self.line(0, f"{table} = ({', '.join(functions)},)", "")
        code = compile("\n".join(self._lines), FILE_NAME, "exec", dont_inherit=True)
        exec(code, self._constants)  # noqa: S102 - names of fields are checked, all else stands in constants
        made: Callable[..., Any] = self._constants[name]
        return made

    def place(self, error: BaseException) -> str:
        """The path of the field in which an error arose, through all functions that were under way."""
        path = "".join(
            self._paths[number - 1]
            for frame, number in walk_tb(error.__traceback__)
            if frame.f_code.co_filename == FILE_NAME and frame.f_globals is self._constants
        )
        return path if len(path) <= _MAX_PATH else f"{path[: _MAX_PATH // 2]}...{path[-_MAX_PATH // 2 :]}"
