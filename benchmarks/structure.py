"""The structure of a checkout, measured from its own imports: what a refactoring must make better.

Run it as `python benchmarks/structure.py [ROOT] [--against BEFORE] [--json]`; ROOT is this checkout unless named. With
`--against`, another checkout stands beside it. Every file of both import packages is parsed, and none is run. Imports
inside functions and under TYPE_CHECKING count; what `import_module` loads by name does not.

A name is a package or module just below an import package, `_version` included; an arrow, all imports from one to
another. Which arrows run up follows from the `layers` contract of import-linter in pyproject.toml, above which stands
what it does not place; without one, from the order with the fewest arrows up that a search finds.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONTAINERS = {"vidchatbench": "vidchatbench", "vidchatbench_metrics": "metrics/vidchatbench_metrics"}
MAX_FUNCTION_LINES = 60
Graph = Mapping[str, Iterable[str]]
Arrows = dict[tuple[str, str], list[str]]
Measures = dict[str, Any]


@dataclass(frozen=True)
class Module:
    """One parsed file; lines are counted, and functions with their methods and nested ones."""

    name: str  # dotted; a package has that of its __init__
    path: str  # from the root of the checkout
    says: str  # first line of the docstring, without the full stop
    lines: int
    functions: tuple[int, ...]  # their lengths
    imports: frozenset[str]  # modules of this checkout

    @property
    def home(self) -> tuple[str, str]:
        """The import package, and the name just below it; ``__init__`` for the package's own file."""
        container, _, rest = self.name.partition(".")
        return container, rest.partition(".")[0] or "__init__"


def read(root: Path) -> dict[str, Module]:
    """Returns every module of both packages by its dotted name."""
    files: dict[str, Path] = {}
    for container, folder in CONTAINERS.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = (container, *path.relative_to(root / folder).with_suffix("").parts)
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {name: _parse(root, name, path, set(files)) for name, path in files.items()}


def _parse(root: Path, name: str, path: Path, known: set[str]) -> Module:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, str(path))
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    imports = frozenset(resolve(target, known) for node in ast.walk(tree) for target in _targets(node, package))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    says = next(iter((ast.get_docstring(tree) or "").splitlines()), "").rstrip(".")
    lengths = tuple((node.end_lineno or 0) - node.lineno + 1 for node in functions)
    place = path.relative_to(root).as_posix()
    return Module(name, place, says, text.count("\n"), lengths, imports - {"", name})


def _targets(node: ast.AST, package: str) -> Iterator[str]:
    """The dotted names that a statement imports; of ``from p import n`` p.n, which need not be a module."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parents = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
        base = ".".join([*parents, *filter(None, [node.module])])
        yield from (f"{base}.{alias.name}" for alias in node.names)


def resolve(target: str, known: set[str]) -> str:
    """Returns the longest part of a dotted name that is a module of this checkout, or ``""``."""
    while target and target not in known:
        target = target.rpartition(".")[0]
    return target


def arrows_between(modules: Mapping[str, Module], container: str) -> Arrows:
    """Returns the arrows between the names of a container, each with its imports as file -> file."""
    arrows: Arrows = {}
    for module in modules.values():
        for other in (modules[target] for target in sorted(module.imports)):
            (here, source), (there, target) = module.home, other.home
            if here == there == container and source != target:
                arrows.setdefault((source, target), []).append(f"{module.path} -> {other.path}")
    return arrows


def reachable(graph: Graph) -> dict[str, set[str]]:
    """Returns what each node reaches over one arrow or more."""
    reached = {}
    for start in graph:
        seen, waiting = set[str](), list(graph[start])
        while waiting:
            if (node := waiting.pop()) not in seen:
                seen.add(node)
                waiting.extend(graph.get(node, ()))
        reached[start] = seen
    return reached


def circles(graph: Graph) -> list[list[str]]:
    """Returns the strongly connected components of more than one node, each sorted."""
    reached = reachable(graph)
    groups = {tuple(sorted(other for other in reached[node] if node in reached[other])) for node in graph}
    return sorted(list(group) for group in groups if len(group) > 1)


def best_order(graph: Graph, arrows: Arrows) -> list[str]:
    """Returns the names from the top down: few arrows up, then few imports behind those."""
    reached = reachable(graph)
    # Right but for what a circle ties; then single names move while that helps.
    order = sorted(reached, key=lambda name: (-len(reached[name]), name))

    def cost(trial: list[str]) -> tuple[int, int]:
        place = {name: index for index, name in enumerate(trial)}
        up = [len(imports) for (source, target), imports in arrows.items() if place[source] > place[target]]
        return len(up), sum(up)

    while True:
        rests = [(name, [other for other in order if other != name]) for name in order]
        trials = ([*rest[:place], name, *rest[place:]] for name, rest in rests for place in range(len(order)))
        best = min(trials, key=cost, default=order)
        if cost(best) >= cost(order):
            return order
        order = best


def contract_layers(root: Path, container: str) -> list[list[str]]:
    """Returns the floors of the ``layers`` contract for a container from the top down; none without a contract."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    for contract in settings.get("tool", {}).get("importlinter", {}).get("contracts", []):
        if contract["type"] == "layers" and contract.get("containers") == [container]:
            return [re.findall(r"\w+", layer) for layer in contract["layers"]]
    return []


def measure(root: Path) -> Measures:
    """Measures a checkout; the result is plain data."""
    modules = read(root)
    folders: dict[str, list[Module]] = {}
    for module in modules.values():
        folders.setdefault(Path(module.path).parent.as_posix(), []).append(module)
    return {
        "containers": {container: _container(root, modules, container) for container in CONTAINERS},
        "module_circles": circles({name: module.imports for name, module in modules.items()}),
        "folders": {name: sizes(members) for name, members in sorted(folders.items())},
        "totals": sizes(list(modules.values())),
    }


def _container(root: Path, modules: Mapping[str, Module], container: str) -> Measures:
    arrows = arrows_between(modules, container)
    names = {name for here, name in (module.home for module in modules.values()) if here == container}
    graph = {name: [target for source, target in arrows if source == name] for name in names}
    layers = contract_layers(root, container)
    placed = {name for floor in layers for name in floor}
    floors = [[name] for name in best_order(graph, arrows) if name not in placed] + layers
    rank = {name: index for index, floor in enumerate(floors) for name in floor}
    steps = {arrow: rank[arrow[0]] - rank[arrow[1]] for arrow in sorted(arrows)}
    return {
        "names": sorted(names - {"__init__", "__main__"}),
        "order": "contract" if layers else "computed",
        "floors": floors,
        "arrows": len(arrows),
        "circles": circles(graph),
        "up": {" -> ".join(arrow): arrows[arrow] for arrow, step in steps.items() if step > 0},
        "sideways": {" -> ".join(arrow): arrows[arrow] for arrow, step in steps.items() if step == 0},
    }


def sizes(modules: list[Module]) -> Measures:
    """Returns how many and how long files and functions are."""
    largest = max(modules, key=lambda module: module.lines, default=None)
    lengths = [length for module in modules for length in module.functions]
    return {
        "files": len(modules),
        "lines": sum(module.lines for module in modules),
        "median_lines": statistics.median([module.lines for module in modules] or [0]),
        "largest_file": f"{Path(largest.path).name} {largest.lines}" if largest else "",
        "functions": len(lengths),
        f"functions_over_{MAX_FUNCTION_LINES}": sum(length > MAX_FUNCTION_LINES for length in lengths),
    }


def table(measured: Measures) -> dict[str, dict[str, str]]:
    """Returns what is printed: by its title the rows of a section; the row without a label is the title's own value."""
    rings = {", ".join(circle).replace("vidchatbench.", ""): "yes" for circle in measured["module_circles"]}
    sections = {"circles of modules": {"": str(len(rings)), **rings}}
    for container, found in measured["containers"].items():
        rings = {", ".join(circle): "yes" for circle in found["circles"]}
        sections[f"names in {container}, without __init__ and __main__"] = {"": str(len(found["names"]))}
        sections[f"circles of names in {container}"] = {"": str(len(rings)), **rings}
        sections[f"order of names in {container}"] = {"": found["order"]}
        for key, title in (("up", "arrows up"), ("sideways", "arrows between neighbours")):
            lines = {line: "yes" for imports in found[key].values() for line in imports}
            sections[f"{title} in {container}"] = {"": f"{len(found[key])} of {found['arrows']}", **lines}
    sections |= {key.replace("_", " "): {"": str(value)} for key, value in measured["totals"].items()}
    sections["folders: files, median lines, largest file"] = {"": ""} | {
        folder: f"{size['files']:>3} {size['median_lines']:>6g}  {size['largest_file']}"
        for folder, size in measured["folders"].items()
    }
    return sections


def show(columns: Mapping[str, Measures]) -> str:
    """Returns the measures of one checkout or more as a table, a column each."""
    tables = [table(measured) for measured in columns.values()]
    lines = [["", *columns]]
    for title in tables[0]:
        for label in sorted({label for sections in tables for label in sections[title]}):
            values = [sections[title].get(label, "–") for sections in tables]
            lines.append([f"  {label}" if label else title, *values])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def main() -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).resolve().parents[1], metavar="ROOT")
    parser.add_argument("--against", type=Path, metavar="BEFORE")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    roots = {"before": options.against, "after": options.root} if options.against else {"now": options.root}
    if missing := [str(root) for root in roots.values() if not (root / "pyproject.toml").is_file()]:
        parser.error(f"no pyproject.toml in {', '.join(missing)}")
    columns = {name: measure(root) for name, root in roots.items()}
    print(json.dumps(columns, indent=1) if options.json else show(columns))


if __name__ == "__main__":
    main()
