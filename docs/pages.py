"""Pages that are written from the package itself: its modules, its commands, its measurements."""

from __future__ import annotations

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
    _write(folder / "commands.md", _commands())


def skip_member(app, what, name, thing, skip, options):
    """Leave out pydantic's own machinery: it is no part of what a document is."""
    return True if name.startswith("model_") or name == "schema_version" else None


def escape_bars(app, what, name, thing, options, lines):
    """Let ``|τ|`` in a docstring be a magnitude, not reStructuredText's substitution."""
    lines[:] = ["``".join(_bars(part, i) for i, part in enumerate(line.split("``"))) for line in lines]


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


def _commands() -> str:
    """The reference of the command line, from the same words as ``--help``."""
    import typer
    from typer.cli import get_docs_for_click

    from midgap.cli.main import app

    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="midgap")
    return get_docs_for_click(obj=command, ctx=context, name="midgap", title="Commands")
