"""Finds circles of imports between the files of a crate, and imports from a lower
layer of it to a higher one. The arguments are the crate's src folder and, where it
has layers, the file that lists them.

A file uses another one if it names something that is defined there, by whichever
way: a `use`, a path in the code or in an attribute, a re-export on the way. Not an
import are the `mod` lines that make the tree, what a `mod.rs` hands on from its own
children without using it itself, and whatever is only for tests.

A file of layers has one line a layer, the lowest first, with the names of top-level
modules. Those of one line may use each other, as long as no circle comes of it. The
crate's root is above all layers. `#` begins a comment.
"""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

TOKEN = re.compile(
    r"""(?P<nothing> \s+ | //[^\n]* | /\*.*?\*/ )
      | (?P<text> [bc]?r(?P<hashes>\#*)".*?"(?P=hashes) | [bc]?"(?:\\.|[^"\\])*" )
      | (?P<letter> b?'(?:\\u\{[^}]*\}|\\x..|\\.|[^\\'])' | '\w+ )
      | (?P<word> (?:r\#)?[^\W\d]\w* )
      | (?P<mark> :: | . )""",
    re.VERBOSE | re.DOTALL,
)
# Attributes name functions in texts: #[serde(with = "crate::times")].
PATH_IN_TEXT = re.compile(r'"\w+(?:::\w+)+"')
DEFINES = {"fn", "struct", "enum", "union", "trait", "type", "const", "static"}
CLOSING = {"(": ")", "[": "]", "{": "}"}

Names = tuple[str, ...]


@dataclass
class Module:
    """A module, in a file of its own or within another's."""

    path: Names
    file: Path
    parent: "Module | None"
    children: dict[str, "Module"] = field(default_factory=dict)
    defined: set[str] = field(default_factory=set)
    # What `use` brings in, by its name here: the path, whether it is handed on, the line.
    uses: dict[str, tuple[Names, bool, int]] = field(default_factory=dict)
    globs: list[tuple[Names, bool, int]] = field(default_factory=list)
    # Paths of two and more names in the code, and all other words of it.
    paths: list[tuple[Names, int]] = field(default_factory=list)
    words: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Arrow:
    """That one file uses something of another."""

    source: Path
    target: Path
    line: int
    what: str


class Reader:
    """Reads a file into its module, and into those that it declares."""

    def __init__(self, module: Module, folder: Path):
        self.module, self.folder = module, folder
        self.tokens = list(tokens(module.file.read_text()))
        self.place = 0

    def text(self, ahead: int = 0) -> str:
        place = self.place + ahead
        return self.tokens[place][0] if place < len(self.tokens) else ""

    def line(self) -> int:
        return self.tokens[self.place][1]

    def read(self, module: Module, folder: Path, depth: int = 0) -> None:
        """Reads what is in braces, or the whole file."""
        handed_on = False
        while self.place < len(self.tokens):
            word = self.text()
            if word == "#" and self.is_test_only():
                self.skip_item()
            elif word == "}" and depth == 0:
                return
            elif word == "pub":
                handed_on = True
                self.place += 1
                if self.text() == "(":
                    self.skip_brackets()
                continue
            elif word == "mod" and self.text(2) == ";":
                self.declare(module, folder, self.text(1))
                self.place += 3
            elif word == "mod" and self.text(2) == "{":
                name = self.text(1)
                module.children[name] = inner = Module((*module.path, name), module.file, module)
                self.place += 3
                self.read(inner, folder / name)
                self.place += 1
            elif word == "use" and self.text(1) != "<":
                self.place += 1
                self.use(module, (), handed_on)
            elif word == "macro_rules" and depth == 0:
                module.defined.add(self.text(2))
                self.place += 3
            elif word in DEFINES and depth == 0 and is_name(self.text(1)):
                module.defined.add(self.text(1))
                self.place += 1 if self.text(1) in DEFINES else 2
            elif is_name(word):
                self.name(module)
            else:
                depth += {"{": 1, "}": -1}.get(word, 0)
                self.place += 1
            handed_on = False

    def is_test_only(self) -> bool:
        ahead = [self.text(place) for place in range(1, 7)]
        return ahead == ["[", "cfg", "(", "test", ")", "]"]

    def skip_brackets(self) -> None:
        wanted = []
        while self.place < len(self.tokens):
            word = self.text()
            if word in CLOSING:
                wanted.append(CLOSING[word])
            elif wanted and word == wanted[-1]:
                wanted.pop()
            self.place += 1
            if not wanted:
                return

    def skip_item(self) -> None:
        """An item with its attributes, to the semicolon or the end of its braces."""
        while self.place < len(self.tokens):
            word = self.text()
            if word in CLOSING:
                self.skip_brackets()
                if word == "{":
                    return
            elif word == "}":
                return
            else:
                self.place += 1
                if word in {";", ","}:
                    return

    def declare(self, module: Module, folder: Path, name: str) -> None:
        places = (folder / f"{name}.rs", folder / name / "mod.rs")
        file = next((file for file in places if file.exists()), None)
        if not file:
            raise FileNotFoundError(f"{module.file}: mod {name} has no file")
        module.children[name] = child = Module((*module.path, name), file, module)
        Reader(child, folder / name).read(child, folder / name)

    def use(self, module: Module, before: Names, handed_on: bool) -> None:
        """One branch of a `use`, and with the first one all of it."""
        path, name = before, ""
        while self.place < len(self.tokens):
            word, line = self.text(), self.line()
            self.place += 1
            if word == "{":
                while self.text() != "}":
                    self.use(module, path, handed_on)
                self.place += 1
                return
            if word == "*":
                module.globs.append((path, handed_on, line))
                return
            if word == "as":
                name = self.text()
                self.place += 1
            elif is_name(word):
                if not (word == "self" and path):
                    path = (*path, word)
                name = path[-1]
            if self.text() in {",", ";", "}"}:
                module.uses[name] = (path, handed_on, line)
                self.place += self.text() != "}"
                return

    def name(self, module: Module) -> None:
        """A path in the code, or a word."""
        line, before = self.line(), self.text(-1) if self.place else ""
        path = [self.text()]
        self.place += 1
        while self.text() == "::" and is_name(self.text(1)):
            path.append(self.text(1))
            self.place += 2
        if before in {"::", "."}:
            return
        if len(path) > 1:
            module.paths.append((tuple(path), line))
        module.words.setdefault(path[0], line)


def tokens(text: str):
    """The words and marks of a file, each with its line; of texts only paths."""
    line = 1
    for found in TOKEN.finditer(text):
        kind, token = found.lastgroup, found[0]
        if found["text"] and PATH_IN_TEXT.fullmatch(token):
            for word in re.findall(r"\w+|::", token):
                yield word, line
            yield '"', line
        elif found["word"] or found["mark"]:
            yield token.removeprefix("r#"), line
        elif kind != "nothing":
            yield '"', line
        line += token.count("\n")


def is_name(token: str) -> bool:
    return bool(re.match(r"[^\W\d]", token))


def is_test(module: Module) -> bool:
    return "tests" in module.path


def modules(module: Module):
    """The module and all below it, without those for tests."""
    if not is_test(module):
        yield module
        for child in module.children.values():
            yield from modules(child)


def resolved(module: Module, path: Names, seen: frozenset = frozenset()) -> tuple[Module, bool] | None:
    """The module in which a path ends, and whether it names something there; nothing
    if it leads out of the crate."""
    if not path or (module.path, path) in seen:
        return None
    seen |= {(module.path, path)}
    first, rest = path[0], path[1:]
    if first == "crate":
        root = module
        while root.parent:
            root = root.parent
        return within(root, rest, seen)
    if first == "self":
        return within(module, rest, seen)
    if first == "super":
        return within(module.parent, rest, seen) if module.parent else None
    return within(module, path, seen, strict=True)


def within(module: Module, path: Names, seen: frozenset, strict: bool = False) -> tuple[Module, bool] | None:
    """The same below a module. Strict is a path that may be another crate's."""
    if not path:
        return module, False
    first, rest = path[0], path[1:]
    if first == "super":
        return resolved(module, path, seen)
    if first in module.children and (rest or first not in module.defined):
        return within(module.children[first], rest, seen)
    if first in module.uses:
        return resolved(module, (*module.uses[first][0], *rest), seen)
    if first in module.defined:
        return module, True
    for glob, _, _ in module.globs:
        origin = resolved(module, glob, seen)
        if origin and (origin[1] or origin[0] is not module):
            found = within(origin[0], path, seen | {(module.path, path)}, strict=True)
            if found:
                return found
    return None if strict else (module, True)


def arrows(root: Module) -> list[Arrow]:
    found: dict[tuple[Path, Path], tuple[int, str]] = {}
    for module in modules(root):
        for path, line in named(module):
            target = resolved(module, path)
            # A module that is only named on the way is not used: its items are.
            if target and (target[1] or path[-1] == "*") and not is_test(target[0]):
                pair, use = (module.file, target[0].file), (line, "::".join(path))
                found[pair] = min(found.get(pair, use), use)
    return [
        Arrow(source, target, line, what)
        for (source, target), (line, what) in sorted(found.items())
        if source != target
    ]


def named(module: Module) -> list[tuple[Names, int]]:
    """The paths that a module uses, each with its line. What it hands on from its own
    children is among them if it uses that itself."""
    found = list(module.paths)
    for name, (path, handed_on, line) in module.uses.items():
        if not (handed_on and is_own(module, path)):
            found.append((path, line))
        elif name in module.words:
            found.append((path, module.words[name]))
    for path, handed_on, line in module.globs:
        if not (handed_on and is_own(module, path)):
            found.append(((*path, "*"), line))
    return found


def is_own(module: Module, path: Names) -> bool:
    target = resolved(module, path)
    return target is not None and target[0].path[: len(module.path)] == module.path


def circles(targets: dict[Path, list[Path]]) -> list[list[Path]]:
    """The files that reach each other, by Tarjan's algorithm."""
    number: dict[Path, int] = {}
    lowest: dict[Path, int] = {}
    stack: list[Path] = []
    found = []

    def visit(file: Path) -> None:
        number[file] = lowest[file] = len(number)
        stack.append(file)
        for target in targets.get(file, []):
            if target not in number:
                visit(target)
                lowest[file] = min(lowest[file], lowest[target])
            elif target in stack:
                lowest[file] = min(lowest[file], number[target])
        if lowest[file] == number[file]:
            circle = stack[stack.index(file):]
            del stack[stack.index(file):]
            if len(circle) > 1:
                found.append(sorted(circle))

    for file in sorted(targets):
        if file not in number:
            visit(file)
    return found


def shortest(targets: dict[Path, list[Path]], circle: list[Path]) -> list[Path]:
    """The shortest way round within a circle, its first file at both ends."""
    ways = []
    for start in circle:
        reached, queue = {start: [start]}, [start]
        while queue:
            file = queue.pop(0)
            for target in targets[file]:
                if target == start:
                    ways.append([*reached[file], start])
                    queue.clear()
                    break
                if target in circle and target not in reached:
                    reached[target] = [*reached[file], target]
                    queue.append(target)
    return min(ways, key=len)


def layers(file: Path, root: Module) -> tuple[dict[str, int], list[str]]:
    """Each top-level module's layer, and what is to be said against the list."""
    height, complaints = {}, []
    lines = [line.partition("#")[0].split() for line in file.read_text().splitlines()]
    for layer, names in enumerate(filter(None, lines)):
        for name in names:
            if name in height:
                complaints.append(f"{file}: {name} is in two layers")
            height[name] = layer
    wanted = {module.path[0] for module in modules(root) if module.path}
    complaints += [f"{file}: {name} is in no layer" for name in sorted(wanted - height.keys())]
    complaints += [f"{file}: {name} is no module" for name in sorted(height.keys() - wanted)]
    return height, complaints


def judged(source: Path, listed: Path | None) -> tuple[list[str], str]:
    """What is to be said against a crate's imports, and how many there are."""
    file = next(file for file in (source / "lib.rs", source / "main.rs") if file.exists())
    root = Module((), file, None)
    Reader(root, source).read(root, source)
    found = arrows(root)
    targets: dict[Path, list[Path]] = {module.file: [] for module in modules(root)}
    for arrow in found:
        targets[arrow.source].append(arrow.target)
    named = {(arrow.source, arrow.target): arrow for arrow in found}

    complaints = []
    for circle in circles(targets):
        way = shortest(targets, circle)
        complaints.append(f"{source}: {len(circle)} files in a circle of imports: "
                          + " ".join(str(file.relative_to(source)) for file in circle))
        for step in zip(way, way[1:]):
            complaints.append(f"  {named[step].source}:{named[step].line}: {named[step].what}"
                              f" is in {step[1].relative_to(source)}")
    if listed:
        height, wrong = layers(listed, root)
        complaints += wrong
        top = {module.file: module.path[0] if module.path else "" for module in modules(root)}
        for arrow in found:
            below, above = top[arrow.source], top[arrow.target]
            if below and height.get(below, 0) < height.get(above, 0 if above else len(height)):
                complaints.append(f"{arrow.source}:{arrow.line}: {arrow.what} is in a layer above"
                                  f" {below}: {above or 'the root'}")
    return complaints, f"{len(found)} imports between {len(targets)} files"


def main(source: Path, listed: Path | None = None) -> int:
    complaints, figures = judged(source, listed)
    for text in complaints:
        print(text, file=sys.stderr)
    if not complaints:
        print(f"{source}: {figures}, no circle" + (", none upwards" if listed else ""))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
