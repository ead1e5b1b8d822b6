"""The style bars of CONTRIBUTING.md that no linter knows, read from the syntax trees of both packages."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (ROOT / "vidchatbench", ROOT / "metrics" / "vidchatbench_metrics")

MAX_LINES = 500
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 8
# A parameter of a command is an option of the command line; `evaluate` has thirteen by design.
MAX_OPTIONS = 13
MIN_DOCUMENTED = 0.95
BROAD_EXCEPT_ALLOWED = ("vidchatbench/plugins/catalogue.py", "vidchatbench/core/isolation.py")
PRINT_ALLOWED = "vidchatbench/cli/"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One parsed file; ``name`` is its path from the root of the checkout."""

    name: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.name)

    def functions(self) -> Iterator[Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))


def modules() -> list[Module]:
    return [
        Module(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for package in PACKAGES
        for path in sorted(package.rglob("*.py"))
    ]


def too_long(module: Module) -> Iterator[str]:
    """Files over 500 lines, functions over 60."""
    if (lines := module.text.count("\n")) > MAX_LINES:
        yield f"{module.name}: {lines} lines"
    for function in module.functions():
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > MAX_FUNCTION_LINES:
            yield f"{module.name}:{function.lineno} {function.name}: {lines} lines"


def parameters(function: Function) -> list[ast.arg]:
    """All parameters, without ``self`` and ``cls``."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    return [arg for position, arg in enumerate(every) if position > 0 or arg.arg not in {"self", "cls"}]


def too_many_parameters(module: Module) -> Iterator[str]:
    most = MAX_OPTIONS if module.name.startswith("vidchatbench/cli/") else MAX_PARAMETERS
    for function in module.functions():
        if (count := len(parameters(function))) > most:
            yield f"{module.name}:{function.lineno} {function.name}: {count} parameters"


def caught(handler: ast.ExceptHandler) -> list[str]:
    """Names of the caught exceptions, ``""`` for a bare except."""
    if handler.type is None:
        return [""]
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return [ast.unparse(node).rpartition(".")[2] for node in types]


def too_broad(module: Module) -> Iterator[str]:
    """Bare excepts anywhere; broad ones outside the two isolation boundaries."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        for name in caught(node):
            broad = name in {"Exception", "BaseException"} and module.name not in BROAD_EXCEPT_ALLOWED
            if not name or broad:
                yield f"{module.name}:{node.lineno}: except {name}".rstrip()


def banned(module: Module) -> Iterator[str]:
    """``print`` outside the CLI, ``global`` anywhere."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Global):
            yield f"{module.name}:{node.lineno}: global {', '.join(node.names)}"
        is_print = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        if is_print and not module.name.startswith(PRINT_ALLOWED):
            yield f"{module.name}:{node.lineno}: print"


def unannotated(module: Module) -> Iterator[str]:
    for function in module.functions():
        lacking = [arg.arg for arg in parameters(function) if arg.annotation is None]
        if function.returns is None:
            lacking.append("return")
        if lacking:
            yield f"{module.name}:{function.lineno} {function.name}: {', '.join(lacking)}"


def public(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, ast.ClassDef | Function]]:
    """The public classes, functions and methods below ``node`` by dotted name, without overloads and overrides."""
    for child in node.body:
        if not isinstance(child, ast.ClassDef | Function) or child.name.startswith("_"):
            continue
        marks = {ast.unparse(mark).rpartition(".")[2] for mark in child.decorator_list}
        if not marks & {"overload", "override", "setter", "deleter"}:
            yield f"{prefix}.{child.name}", child
        if isinstance(child, ast.ClassDef):
            yield from public(child, f"{prefix}.{child.name}")


def documentation(module: Module) -> dict[str, bool]:
    """Every public name of a module, and whether it has a docstring."""
    tree = module.tree
    names = {module.name: ast.get_docstring(tree) is not None}
    names.update((name, ast.get_docstring(node) is not None) for name, node in public(tree, module.name))
    return names


@pytest.mark.parametrize("bar", [too_long, too_many_parameters, too_broad, banned, unannotated])
def test_no_module_crosses_the_bar(bar):
    assert [problem for module in modules() for problem in bar(module)] == []


def test_public_names_are_documented():
    names = {name: done for module in modules() for name, done in documentation(module).items()}
    missing = sorted(name for name, done in names.items() if not done)
    share = 1 - len(missing) / len(names)
    assert share >= MIN_DOCUMENTED, f"{share:.1%} of {len(names)} public names have a docstring; without: {missing}"


def test_the_isolation_boundaries_exist_where_they_are_allowed():
    allowed = [module for module in modules() if module.name in BROAD_EXCEPT_ALLOWED]
    assert {module.name for module in allowed} == set(BROAD_EXCEPT_ALLOWED), "the list names a file that is gone"


LONG = "def f() -> None:\n" + "    pass\n" * 60
FAULTS = [
    (too_long, "x = 1\n" * 501, 1),
    (too_long, "x = 1\n" * 500, 0),
    (too_long, LONG, 1),
    (too_long, LONG.replace("    pass\n", "", 1), 0),
    (too_many_parameters, "def f(a, b, c, d, e, f, g, h, *, i): ...\n", 1),
    (too_many_parameters, "class C:\n    def f(self, a, b, c, d, e, f, g, h): ...\n", 0),
    (too_broad, "try:\n    pass\nexcept:\n    pass\n", 1),
    (too_broad, "try:\n    pass\nexcept (OSError, builtins.Exception):\n    pass\n", 1),
    (too_broad, "try:\n    pass\nexcept OSError:\n    pass\n", 0),
    (banned, "print(1)\n", 1),
    (banned, "def f():\n    global x, y\n", 1),
    (banned, "console.print(1)\n", 0),
    (unannotated, "def f(a: int, *b, c=1) -> None: ...\n", 1),
    (unannotated, "class C:\n    def f(self): ...\n", 1),
    (unannotated, "class C:\n    def f(self, a: int) -> int: ...\n", 0),
]


@pytest.mark.parametrize(("bar", "text", "problems"), FAULTS)
def test_the_bars_see_what_they_should(bar, text, problems):
    assert len(list(bar(Module("vidchatbench/fake.py", text)))) == problems


def test_broad_excepts_and_prints_pass_where_they_belong():
    guarded = "try:\n    pass\nexcept Exception:\n    pass\n"
    assert not list(too_broad(Module("vidchatbench/plugins/catalogue.py", guarded)))
    assert list(too_broad(Module("vidchatbench/plugins/catalogue.py", guarded.replace(" Exception", ""))))
    assert not list(banned(Module("vidchatbench/cli/main.py", "print(1)\n")))


def test_documentation_counts_public_names_only():
    text = '"""M."""\nclass C:\n    def f(self): ...\n    def _g(self): ...\n    @override\n    def h(self): ...\n'
    assert documentation(Module("m", text)) == {"m": True, "m.C": False, "m.C.f": False}
