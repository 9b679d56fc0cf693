"""The floor plan of the package: who may import whom, how large a room and a file may be, and the words of its names.

Known exceptions stand here with their reason. A test fails when one is no longer needed, so the lists only shrink.
"""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "deoldify_video"

FLOORS = (
    {"color", "options", "errors", "formatting"},
    {"images", "media", "models", "temporal", "metrics"},
    {"film", "photo", "colorize", "report", "batch", "executors", "preview", "compare", "training", "evaluation"},
    {"cli", "web"},
)
MAX_SHARE = 0.14  # of a room in the package's lines
MAX_FILE_LINES = 350

# Words that no name has, and those that no name has in one room, where they stand for something else.
WORDS = """
    appraisal bench brightness bury catalogue centre choice choices colour colours desk driver ending endings errand errands
    glance greet grey keyint nursery remark remarks restless scene scenes sentence sentences settle stillborn stretch survey
    unlikeness unrest uv visit visits
"""
ROOM_WORDS = {
    "film": {"chunk", "chunks", "part", "parts"},
    "temporal": {"blend", "keep", "motion"},
    "batch": {"chunk", "chunks"},
    "executors": {"chunk", "chunks"},
}
# Functions and classes that are not called just so: each meant more than one thing, or nothing that can be guessed.
NAMES = """
    _Waiting Begin Column Driver Ending Start Track View Work bury clock deep film_report greet leave look lose readable
"""

PUBLIC = "fields of a report, which programs read"
NAME_EXCEPTIONS: dict[tuple[str, str], str] = {
    ("evaluation", "grey"): PUBLIC,
    ("film", "part"): "a field of journals that lie on disks",
}
WHAT_EXCEPTIONS: dict[str, str] = {}
SHARE_EXCEPTIONS: dict[str, str] = {}
STUB = "puts a network that costs nothing, and faults at given places, into processes that are started anew"
SET = "sets what is to become an argument or an option"
PATCH_EXCEPTIONS: dict[str, str] = {
    "batch/stub_batch.py": STUB,
    "executors/stub_worker.py": STUB,
    "faults/test_streams_kept.py": "no fault from outside makes a film that is wrong in the end",
    "media/test_open_film.py": SET,
    "training/test_dataset_build.py": SET,
    "training/test_training_command.py": SET,
    "web/test_sessions.py": SET,
    "web/test_web_command.py": SET,
}
CLASS_EXCEPTIONS: dict[str, str] = {}


@cache
def modules() -> dict[str, Path]:
    """Every module by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        words = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(words[:-1] if words[-1] == "__init__" else words)] = path
    return found


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def room_of(module: str) -> str:
    """The first folder or file below the package; the package itself is no room, it only names the rooms' public names."""
    return [*module.split("."), ""][1]


@cache
def imports(module: str) -> dict[str, set[str]]:
    """The modules that a module imports, at its head or later: `run` when it runs, `types` for a type checker only."""
    found: dict[str, set[str]] = {"run": set(), "types": set()}

    def walk(node: ast.AST, kind: str) -> None:
        if isinstance(node, ast.Import):
            found[kind] |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found[kind] |= {name if name in modules() else str(node.module) for name in names}
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                walk(child, "types")
            for child in node.orelse:
                walk(child, kind)
        else:
            for child in ast.iter_child_nodes(node):
                walk(child, kind)

    walk(tree_of(modules()[module]), "run")
    return {kind: {name for name in names if name in modules() and room_of(name)} for kind, names in found.items()}


def graph(kinds: Iterable[str]) -> dict[str, set[str]]:
    """Which module imports which."""
    return {module: set().union(*(imports(module)[kind] for kind in kinds)) for module in modules() if room_of(module)}


def circle(edges: Mapping[str, set[str]]) -> list[str]:
    """The nodes of a circle, or nothing: what is left when all that import nothing of what is left have been taken away."""
    left = {node: set(targets) for node, targets in edges.items()}
    while free := {node for node, targets in left.items() if not targets & left.keys()}:
        left = {node: targets for node, targets in left.items() if node not in free}
    if not left:
        return []
    walked = [next(iter(left))]
    while walked[-1] not in walked[:-1]:
        walked.append(min(left[walked[-1]] & left.keys()))
    return walked[walked.index(walked[-1]) :]


def test_the_search_for_circles_finds_one():
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}}) == ["b", "c", "d", "b"]


@pytest.mark.parametrize("kinds", [("run",), ("run", "types")], ids=["when it runs", "with its types"])
def test_no_file_imports_itself_by_way_of_others(kinds):
    assert circle(graph(kinds)) == []


def test_no_room_imports_itself_by_way_of_others():
    rooms: dict[str, set[str]] = defaultdict(set)
    for module, targets in graph(["run"]).items():
        rooms[room_of(module)] |= {room_of(target) for target in targets} - {room_of(module)}
    assert circle(rooms) == []


def test_every_room_has_its_floor_and_there_is_no_other():
    rooms = {room_of(module) for module in modules()} - {"", "__main__"}
    assert rooms == set().union(*FLOORS)
    assert sum(map(len, FLOORS)) == len(rooms)


@pytest.mark.parametrize("kind", ["run", "types"])
def test_imports_point_down(kind):
    floors = {room: number for number, rooms in enumerate(FLOORS) for room in rooms} | {"__main__": len(FLOORS)}
    upward = [
        f"{module} imports {target}"
        for module, targets in graph([kind]).items()
        for target in targets
        if floors[room_of(target)] > floors[room_of(module)]
    ]
    assert upward == []


def test_no_room_holds_more_than_its_share():
    lines: Counter[str] = Counter()
    for module, path in modules().items():
        lines[room_of(module)] += len(path.read_text().splitlines())
    large = {room: round(count / lines.total(), 3) for room, count in lines.items() if count > MAX_SHARE * lines.total()}
    assert {room: share for room, share in large.items() if room not in SHARE_EXCEPTIONS} == {}
    assert {room for room in SHARE_EXCEPTIONS if room not in large} == set(), "no longer needed"


def test_no_file_is_too_long():
    lengths = {module: len(path.read_text().splitlines()) for module, path in modules().items()}
    assert {module: count for module, count in lengths.items() if count > MAX_FILE_LINES} == {}


def names_of(path: Path) -> Iterator[str]:
    """Every name that a file gives: its own, and those of its classes, functions, arguments, variables and fields."""
    yield from path.relative_to(PACKAGE).with_suffix("").parts
    for node in ast.walk(tree_of(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname


def words_of(name: str) -> list[str]:
    """The words of a name, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def banned_names() -> dict[tuple[str, str], set[str]]:
    """Room and word of every name that is against the vocabulary, with the places."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for module, path in modules().items():
        room = room_of(module)
        defined = {
            node.name
            for node in ast.walk(tree_of(path))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        }
        for name in {*names_of(path)}:
            bad = set(words_of(name)) & ({*WORDS.split()} | ROOM_WORDS.get(room, set()))
            if name in NAMES.split() and name in defined:
                bad.add(name)
            for word in bad:
                found[room, word].add(f"{path.relative_to(PACKAGE)}: {name}")
    return found


def test_words_are_found_in_names():
    assert words_of("_GreyToLab_2 uvPlane") == ["grey", "to", "lab", "uv", "plane"]


def test_no_name_has_a_word_that_is_not_the_field_s():
    found = banned_names()
    assert {place: sorted(names) for place, names in found.items() if place not in NAME_EXCEPTIONS} == {}
    assert {place for place in NAME_EXCEPTIONS if place not in found} == set(), "no longer needed"


def test_no_two_classes_have_one_name():
    homes: dict[str, list[str]] = defaultdict(list)
    for module, path in modules().items():
        if room_of(module) != "models":  # a network has its blocks in its own file, by the names of its paper
            for node in tree_of(path).body:
                if isinstance(node, ast.ClassDef):
                    homes[node.name].append(module)
    twice = {name: places for name, places in homes.items() if len(places) > 1}
    assert {name: places for name, places in twice.items() if name not in CLASS_EXCEPTIONS} == {}
    assert {name for name in CLASS_EXCEPTIONS if name not in twice} == set(), "no longer needed"


def docstrings(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield ast.get_docstring(node) or ""


def test_no_docstring_begins_with_what():
    files = [path for folder in ("deoldify_video", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    found = {str(path.relative_to(ROOT)) for path in files for text in docstrings(path) if text.startswith("What ")}
    assert found - WHAT_EXCEPTIONS.keys() == set()
    assert WHAT_EXCEPTIONS.keys() - found == set(), "no longer needed"


def patches(path: Path) -> Iterator[str]:
    """The places of the package that a test file sets: by dotted strings, and in what it has imported from the package."""
    ours = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("deoldify_video"):
            ours |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            ours |= {alias.asname for alias in node.names if alias.name.startswith("deoldify_video") and alias.asname}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr" and node.args:
            target = ast.unparse(node.args[0])
            if re.match(r"f?['\"]deoldify_video\.", target) or target.partition(".")[0] in ours:
                yield target
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and ast.unparse(target.value) in ours:
                    yield ast.unparse(target)


def test_no_test_patches_the_package():
    found = {
        str(path.relative_to(ROOT / "tests")): sorted(patches(path))
        for path in (ROOT / "tests").rglob("*.py")
        if [*patches(path)]
    }
    assert {name: names for name, names in found.items() if name not in PATCH_EXCEPTIONS} == {}
    assert {name for name in PATCH_EXCEPTIONS if name not in found} == set(), "no longer needed"


def test_no_path_of_a_developer_s_machine_is_left():
    kinds = {".py", ".md", ".toml", ".json", ".html", ".css", ".js", ".txt", ""}
    folders = [ROOT / name for name in ("deoldify_video", "tests", "benchmarks", "docs", "samples", ".ci")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix in kinds]
    files += [ROOT / name for name in ("README.md", "CHANGELOG.md", "pyproject.toml", "cli.py")]
    home = re.compile(r"(?<![\w.])/(?:home|Users|root|work|mnt)/\w+|[A-Z]:\\\\?Users\\")
    found = {}
    for path in files:
        if "__pycache__" not in path.parts and (match := home.search(path.read_text(errors="replace"))):
            found[str(path.relative_to(ROOT))] = match.group()
    assert found == {}
