"""The layout of the package: each part knows only the parts to its left, and imports have no circle."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import lymphofeat

ROOT = Path(lymphofeat.__file__).parent
# From left to right; parts of one group do not know each other. CONTRIBUTING.md draws it.
ORDER = (
    ("errors", "lazy", "progress"),
    ("parallel", "array_tasks"),
    ("metric",),
    ("wording",),
    ("executor",),
    ("dask_cluster", "devices"),
    ("validation",),
    ("storage",),
    ("estimates",),
    ("cohort",),
    ("synthetic",),
    ("encoder",),
    ("training",),
    ("cache",),
    ("imports",),
    ("heads",),
    ("scoring",),
    ("studies", "comparison"),
    ("final",),
    ("nested", "explanation"),
    ("assess",),
    ("bundle",),
    ("verification",),
    ("figures",),
    ("report",),
    ("page",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
RANK = {part: rank for rank, parts in enumerate(ORDER) for part in parts}
MODULES = {
    ".".join(("lymphofeat", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}


def imported(module: str) -> Iterator[str]:
    """The modules of the package that a module imports anywhere in its text, inside functions too."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "lymphofeat")
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            if base.split(".")[0] == "lymphofeat":
                each = {f"{base}.{alias.name}" for alias in node.names}
                yield from each & MODULES.keys() or {base}


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_knows_only_parts_to_its_left(module: str) -> None:
    if not part(module):
        return
    for name in imported(module):
        other = part(name)
        if other and other != part(module):
            assert RANK[other] < RANK[part(module)], f"{module} imports {name}"


def test_every_part_has_its_place() -> None:
    found = {part(module) for module in MODULES} - {""}
    assert found == set(RANK), (
        "a folder or file of the package is missing in ORDER, or stands there and is gone"
    )


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: set(imported(module)) & MODULES.keys() - {module} for module in MODULES}
    # `from . import x` in a package names the package too; what counts is the module that is meant.
    TopologicalSorter(
        {m: {n for n in found if n.count(".") > 1 or n == m} for m, found in graph.items()}
    ).prepare()
