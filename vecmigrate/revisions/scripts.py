"""Migration scripts on disk: read as text, run only when asked.

`load_scripts` looks at scripts with `ast` alone, so listing, drawing and checking the history executes
nothing. `load_module` executes one script, and what goes wrong in it becomes a ScriptError with the line.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from vecmigrate.errors import RevisionError, ScriptError, VecmigrateError
from vecmigrate.files import read_file
from vecmigrate.revisions.identifiers import check_name
from vecmigrate.revisions.user_code import ENDS, UserCodeFault, call_user_code, what_happened

_NAMES = ("revision", "down_revision", "branch_labels", "depends_on")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One migration script.

    `down_revision`, `branch_labels` and `depends_on` are tuples whether the file writes None, one string or
    several. `message` is the first line of the docstring, `doc` all of it. `checksum` is "sha256:" and the
    hex digest of the text in UTF-8 with newlines as "\\n" and without a byte order mark, so that a checkout
    with other line ends counts as the same script. `line` is where `revision` is assigned, `upgrade_line`
    and `downgrade_line` where the functions start (None: there is no downgrade).
    """

    revision: str
    down_revision: tuple[str, ...]
    branch_labels: tuple[str, ...]
    depends_on: tuple[str, ...]
    message: str
    doc: str
    path: Path
    checksum: str
    line: int
    upgrade_line: int
    downgrade_line: int | None


def load_scripts(directory: Path) -> tuple[Script, ...]:
    """Read every migration script in `directory`, in the order of their file names.

    Files that start with `_` or `.` are not migrations and are passed over; folders inside are not entered.

    Raises:
        ScriptError: The folder is missing, a script cannot be read, or two scripts share a revision id.
    """
    if not directory.is_dir():
        raise ScriptError(
            f"no migrations folder at {display_path(directory)}",
            hint="run `vecmigrate init`, or set `migrations` in the configuration",
        )
    scripts = tuple(
        read_script(path)
        for path in sorted(directory.glob("*.py"))
        if not path.name.startswith(("_", ".")) and path.is_file()
    )
    seen: dict[str, Script] = {}
    for script in scripts:
        other = seen.setdefault(script.revision, script)
        if other is not script:
            raise ScriptError(
                f"{display_path(script.path)}:{script.line}: revision {script.revision!r} is already "
                f"the id of {other.path.name}:{other.line}",
                hint="give one of the two a new id",
            )
    return scripts


def read_script(path: Path) -> Script:
    """Read one script without executing it.

    Raises:
        ScriptError: The file cannot be read or parsed, an identifier is missing or is not a literal, or there
            is no function `upgrade(op)`.
    """
    text = _read_text(path)
    try:
        tree = ast.parse(text, filename=str(path))
    except SyntaxError as error:
        raise ScriptError(f"{display_path(path)}:{error.lineno or 1}: {error.msg}") from error
    except ValueError as error:  # ast refuses null bytes this way on some versions
        raise ScriptError(f"{display_path(path)}:1: not Python source ({error})") from error
    except (RecursionError, MemoryError) as error:
        raise ScriptError(
            f"{display_path(path)}:1: an expression is nested too deeply (expected what Python can parse)"
        ) from error

    assigned = {name: value for name, value in _assignments(tree) if name in _NAMES}
    if "revision" not in assigned:
        raise ScriptError(
            f'{display_path(path)}:1: no `revision` (expected `revision = "…"` at the top level)',
            hint="rename the file to start with `_` if it is not a migration",
        )
    revision = _literal(path, "revision", assigned["revision"])
    if not isinstance(revision, str) or not revision:
        raise _wrong(path, "revision", assigned["revision"], "a string that is not empty")
    try:
        check_name("revision id", revision)
    except RevisionError as error:
        raise ScriptError(f"{display_path(path)}:{assigned['revision'].lineno}: {error.message}") from error

    functions = {
        node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    for name in ("upgrade", "downgrade"):
        function = functions.get(name)
        if isinstance(function, ast.AsyncFunctionDef) or (function and not _takes_one_argument(function)):
            raise ScriptError(
                f"{display_path(path)}:{function.lineno}: `{name}` cannot be called "
                f"(expected `def {name}(op: Recorder) -> None`)"
            )
    if "upgrade" not in functions:
        raise ScriptError(
            f"{display_path(path)}:1: no function `upgrade` (expected `def upgrade(op: Recorder) -> None`)"
        )

    doc = ast.get_docstring(tree) or ""
    downgrade = functions.get("downgrade")
    return Script(
        revision=revision,
        down_revision=_strings(path, "down_revision", assigned),
        branch_labels=_strings(path, "branch_labels", assigned),
        depends_on=_strings(path, "depends_on", assigned),
        message=doc.partition("\n")[0].strip(),
        doc=doc,
        path=path,
        checksum=_checksum(text),
        line=assigned["revision"].lineno,
        upgrade_line=functions["upgrade"].lineno,
        downgrade_line=downgrade.lineno if downgrade else None,
    )


def load_module(script: Script) -> ModuleType:
    """Execute a script and return its module; nothing is written beside it and `sys.path` stays as it is.

    Raises:
        ScriptError: The file changed since it was read, or executing it raised an exception.
    """
    text = _read_text(script.path)
    if _checksum(text) != script.checksum:
        raise ScriptError(
            f"{display_path(script.path)} was changed while it was being read", hint="run the command again"
        )
    module = ModuleType(f"_vecmigrate_migration_{script.revision}", script.doc)
    module.__file__ = str(script.path)
    # dataclasses and typing look modules up by name while they are being executed.
    sys.modules[module.__name__] = module
    try:
        code = compile(text, str(script.path), "exec")
        call_user_code(exec, code, module.__dict__)
    except BaseException as error:
        sys.modules.pop(module.__name__, None)
        if isinstance(error, UserCodeFault):
            raise script_error(script, error.error) from error.error
        if isinstance(error, SyntaxError | ValueError | RecursionError | MemoryError):  # from compile
            raise script_error(script, error) from error
        raise
    return module


def call_script(script: Script, module: ModuleType, name: str, *arguments: object) -> None:
    """Call the function `name` of a script whose module was loaded.

    Raises:
        ScriptError: With file and line, whatever it raised; or it is no function that does its work at once.
    """
    try:
        call_user_code(getattr(module, name), *arguments)
    except (UserCodeFault, AttributeError) as fault:
        error = fault.error if isinstance(fault, UserCodeFault) else fault
        begins = script.downgrade_line if name == "downgrade" else script.upgrade_line
        raise script_error(script, error, begins or script.line) from error


def script_error(script: Script, error: BaseException, line: int | None = None) -> ScriptError:
    """The ScriptError, with file and line, for an exception that running code of `script` raised.

    `line` is the one to name where the error passed through none of the script's.
    """
    if isinstance(error, ScriptError):
        return error
    line = script_line(script, error, line)
    if isinstance(error, SyntaxError) and error.filename == str(script.path):
        line = error.lineno or line
    place = f"{display_path(script.path)}:{line}"
    if isinstance(error, VecmigrateError):
        return ScriptError(f"{place}: {error.message}", hint=error.hint)
    return ScriptError(
        f"{place}: {what_happened(error)}", hint=None if isinstance(error, Exception) else ENDS
    )


def script_line(script: Script, error: BaseException, line: int | None = None) -> int:
    """The last line of `script` that `error` passed through; else `line`, or that of its id."""
    line = script.line if line is None else line
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == str(script.path):
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def display_path(path: Path) -> str:
    """`path` as a user would type it: relative where it lies under the working directory."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _read_text(path: Path) -> str:
    try:
        text = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScriptError(f"{display_path(path)}:1: not UTF-8 (byte {error.start})") from error
    except OSError as error:
        raise ScriptError(f"{display_path(path)}: cannot be read ({error.strerror})") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _checksum(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _assignments(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        targets: Sequence[ast.expr] = ()
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = (node.target,)
        for target in targets:
            if isinstance(target, ast.Name) and isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
                yield target.id, node.value


def _literal(path: Path, name: str, node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ScriptError(
            f"{display_path(path)}:{node.lineno}: `{name}` is not a literal "
            "(expected a plain value: scripts are read without running them)"
        ) from error


def _strings(path: Path, name: str, assigned: dict[str, ast.expr]) -> tuple[str, ...]:
    node = assigned.get(name)
    if node is None:
        return ()
    value = _literal(path, name, node)
    if value is None:
        return ()
    items = (value,) if isinstance(value, str) else value
    if isinstance(items, set):
        items = tuple(sorted(items, key=str))
    if not isinstance(items, tuple | list) or not all(isinstance(item, str) and item for item in items):
        raise _wrong(path, name, node, "None, a string or a tuple of strings")
    return tuple(dict.fromkeys(items))


def _wrong(path: Path, name: str, node: ast.expr, expected: str) -> ScriptError:
    return ScriptError(
        f"{display_path(path)}:{node.lineno}: `{name}` is {ast.unparse(node)} (expected {expected})"
    )


def _takes_one_argument(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = function.args
    positional = len(arguments.posonlyargs) + len(arguments.args)
    required = positional - len(arguments.defaults)
    no_required_keywords = all(default is not None for default in arguments.kw_defaults)
    return required <= 1 and no_required_keywords and (positional >= 1 or arguments.vararg is not None)
