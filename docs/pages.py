"""Pages that are written from the package itself: its modules, its commands, its measurements."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("structures", "defects", "workflows", "experiment", "report")
SCRIPTS = ("gpaw_driver", "pyscf_driver")
"""Run as processes of their own, never imported."""


def write_all(docs: Path) -> None:
    """Write the pages into ``docs/_generated``; one that did not change is left alone, so that it is not built again."""
    folder = docs / "_generated"
    packages = [_name(path) for room in ROOMS for path in sorted((ROOT / room).rglob("__init__.py"))]
    for name in packages:
        _write(folder / f"{name}.md", _package(name))
    _write(folder / "python.md", "\n".join(["# Python", "", "```{toctree}", ":maxdepth: 1", "", *packages, "```", ""]))
    _write(folder / "benchmarks.md", _measurements())
    _write(folder / "commands.md", _commands())


def skip_member(app, what, name, thing, skip, options):
    """Leave out pydantic's own machinery: it is no part of what a document is."""
    return True if name.startswith("model_") or name == "schema_version" else None


def escape_bars(app, what, name, thing, options, lines):
    """Let ``|τ|`` in a docstring be a magnitude, not reStructuredText's substitution."""
    lines[:] = ["``".join(_bars(part, i) for i, part in enumerate(line.split("``"))) for line in lines]


def link_outside(app, name, source):
    """Let a link to a page outside this folder, which works where the sources are read, give that file here."""
    source[0] = re.sub(r"\[([^\]]+)\]\((\.\./[^)#]+\.md)\)", r"{download}`\1 <\2>`", source[0])


def inline_math(writer, node):
    """Write a formula of a line as MathML."""
    _math(writer, node, as_block=False)


def display_math(writer, node):
    """Write a formula of its own as MathML."""
    _math(writer, node, as_block=True)


def _math(writer, node, as_block: bool) -> None:
    from docutils import nodes
    from docutils.utils.math.latex2mathml import tex2mathml

    formula = tex2mathml(node.astext(), as_block=as_block)
    writer.body.append(f"<p>{formula}</p>" if as_block else formula)
    raise nodes.SkipNode


def _bars(text: str, index: int) -> str:
    return text if index % 2 else text.replace("|", "\\|")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _name(init: Path) -> str:
    return ".".join(init.parent.relative_to(ROOT).parts)


def _package(name: str) -> str:
    """The public names of a package, module by module."""
    modules = [path.stem for path in sorted((ROOT / name.replace(".", "/")).glob("*.py"))]
    modules = [module for module in modules if module not in SCRIPTS and module != "__init__"]
    lines = [f"# {name}", "", "```{eval-rst}", f".. automodule:: midgap.{name}", "   :members:", "```"]
    for module in modules:
        lines += ["", f"## {module}", "", "```{eval-rst}", f".. automodule:: midgap.{name}.{module}", "   :members:"]
        lines += ["```"]
    return "\n".join([*lines, ""])


def _measurements() -> str:
    """What is in ``benchmarks/``: what each measures, its command, and the figures that are kept of it."""
    lines = [
        "# Benchmarks",
        "",
        "Each figure is made by the command beside it, from a checkout with the `dev` extra.",
        "",
    ]
    if (ROOT / "benchmarks" / "results" / "summary.md").exists():
        lines += ["## What was aimed at, and what came", "", *_kept("summary")]
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        command = next((line.strip() for line in text.splitlines() if line.strip().startswith("python ")), None)
        if command is None:
            continue  # a part of another
        lines += [f"## {path.stem}", "", text.splitlines()[0], "", "```", f"$ {command}", "```", ""]
        lines += _kept(path.stem)
    return "\n".join(lines)


def _kept(name: str) -> list[str]:
    """The committed results of a benchmark: in words where there are some, else its numbers as a table."""
    words, numbers = (ROOT / "benchmarks" / "results" / f"{name}{ending}" for ending in (".md", ".json"))
    if words.exists():
        body = words.read_text().partition("\n")[2].strip()  # without its title
        body = re.sub(r"\]\(([^()/:]+\.json)\)", r"](../../benchmarks/results/\1)", body)
        return [re.sub(r"^(#+)", r"#\1", line) for line in body.splitlines()] + [""]
    if numbers.exists():
        return [*_table(json.loads(numbers.read_text())), f"All numbers: `benchmarks/results/{numbers.name}`.", ""]
    return ["No figures of it are kept.", ""]


def _table(found: object) -> list[str]:
    """One row a case, a column for each plain number that the cases have."""
    cases = {name: case for name, case in found.items() if isinstance(case, dict)} if isinstance(found, dict) else {}
    names = dict.fromkeys(key for case in cases.values() for key, value in case.items() if _plain(value))
    if not names:
        return []
    head = ["| | " + " | ".join(name.replace("_", " ") for name in names) + " |", "|---|" + "---|" * len(names)]
    rows = [f"| {case} | " + " | ".join(str(cases[case].get(name, "")) for name in names) + " |" for case in cases]
    return [*head, *rows, ""]


def _plain(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _commands() -> str:
    """The reference of the command line, from the same words as ``--help``."""
    import typer
    from typer.cli import get_docs_for_click

    from midgap.cli.main import app

    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="midgap")
    return get_docs_for_click(obj=command, ctx=context, name="midgap", title="Commands")
