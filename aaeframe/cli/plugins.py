"""`aaeframe plugins list | info | check`: the installed plugins, their components and their checks."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from aaeframe.cli import options
from aaeframe.cli.commands import App
from aaeframe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from aaeframe.components.options import Option
    from aaeframe.components.registry import InstalledComponent, Kind, Plugin, Registry
    from aaeframe.testing.plugin import Outcome

app = App()

KindOption = Annotated[
    str | None,
    typer.Option("--kind", metavar="KIND", help="Kind of component, such as prior or data-set."),
]


@app.command("list")
def list_plugins(
    context: typer.Context,
    requirements: Annotated[
        bool, typer.Option("--requirements", help="Print only the requirements of the plugins, for pip install -r.")
    ] = False,
    run: Annotated[Path | None, typer.Option(metavar="RUN", help="With --requirements: those of this run.")] = None,
    json: options.Json = False,
) -> None:
    """List the installed plugins and their components. A broken plugin is listed with its error."""
    from aaeframe.cli.console import out, print_json

    if requirements:
        _print_requirements(context, run, json)
        return
    if run is not None:
        raise ConfigError("--run goes with --requirements, which is not given; add --requirements")
    registry = options.registry(context)
    if json:
        print_json({"plugins": [_described(plugin) for plugin in registry.plugins]})
    else:
        _print_list(out(), registry)


@app.command()
def info(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Short or full name of a component.")],
    kind: KindOption = None,
    json: options.Json = False,
) -> None:
    """Show a component: its source, and the type, default and description of each option."""
    from aaeframe.cli.console import out, print_json

    components = [_explained(offer) for offer in _find(options.registry(context), name, _kind(kind))]
    if json:
        print_json({"components": components})
        return
    for component in components:
        _print_info(out(), component)


@app.command()
def check(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Component, with options if it needs some, or plugin.")],
    kind: KindOption = None,
    json: options.Json = False,
) -> None:
    """Run the conformance checks of aaeframe.testing. The exit code is 1 if one fails."""
    from aaeframe.cli.console import out, print_json

    plugins, offers, given = _find_to_check(options.registry(context), name, _kind(kind))
    if not any(plugin.status == "active" for plugin in plugins):
        _report_inactive(plugins, json)
    from aaeframe.testing.plugin import check_component, check_plugin

    todo = [(str(plugin), _described(plugin), check_plugin(plugin)) for plugin in plugins]
    todo += [(str(offer), _named(offer), check_component(offer, given)) for offer in offers]
    checked: list[dict[str, Any]] = []
    for title, subject, outcomes in todo:
        found = [outcome._asdict() for outcome in (outcomes if json else _printed(out(), title, outcomes))]
        checked.append({**subject, "checks": found})
    failed = sum(outcome["verdict"] == "failed" for subject in checked for outcome in subject["checks"])
    if json:
        print_json({"checked": checked, "failed": failed})
    else:
        out().print(f"{failed} failed" if failed else "nothing failed", style="bold")
    raise typer.Exit(1 if failed else 0)


def _report_inactive(plugins: Sequence[Plugin], json: bool) -> NoReturn:
    """Report plugins that are not active, without importing torch, and exit."""
    from aaeframe.cli.console import out, print_json

    if json:
        failures = [{"id": "active", "verdict": "failed", "message": it.state} for it in plugins]
        checked = [{**_described(it), "checks": [failure]} for it, failure in zip(plugins, failures, strict=True)]
        print_json({"checked": checked, "failed": len(plugins)})
        raise typer.Exit(1)
    for plugin in plugins:
        _print_line(out(), f"{plugin.distribution} {plugin.version}, entry point {plugin.name}")
        _print_line(out(), f"  FAIL  active: {plugin.state}")
    out().print(f"{len(plugins)} failed", style="bold")
    raise typer.Exit(1)


def _kind(name: str | None) -> Kind | None:
    return None if name is None else options.kind(name)


def _find(registry: Registry, name: str, kind: Kind | None) -> Sequence[InstalledComponent]:
    return registry.find_all(name) if kind is None else [registry.find(kind, name)]


def _find_to_check(
    registry: Registry, name: str, kind: Kind | None
) -> tuple[list[Plugin], list[InstalledComponent], dict[str, Any]]:
    """The components of this name, with their plugins and options; or the plugins of this name with their components.

    The name of a distribution comes before that of a component. OptionError if the options in parentheses after the
    name are not those of the component.
    """
    from aaeframe.components.options import resolve_component
    from aaeframe.components.registry import normalized
    from aaeframe.configuration.shorthand import parse_component
    from aaeframe.errors import BrokenComponent, UnknownComponent

    given: dict[str, Any] = {}
    if "(" in name:
        parsed = parse_component(name)
        name, given = parsed["component"], parsed["options"]
    plugins = [] if given else [it for it in registry.plugins if it.distribution == normalized(name)]
    offers: list[InstalledComponent] = []
    try:
        offers = [] if plugins else list(_find(registry, name, kind))
    except UnknownComponent:
        plugins = [it for it in registry.plugins if it.answers_to(name)]
        if not plugins or given:
            raise
    if plugins:
        return plugins, [it for plugin in plugins for it in plugin.offers if kind in (None, it.kind)], {}
    for offer in offers:
        with suppress(BrokenComponent):  # its check says so
            resolve_component(offer, given).stored()
    return [it for it in registry.plugins if set(it.offers) & set(offers)], offers, given


def _described(plugin: Plugin) -> dict[str, Any]:
    """A plugin as JSON."""
    fields = ("name", "module", "distribution", "version", "status", "error", "location", "api")
    components = [_named(it) for it in plugin.offers]
    lists = {"warnings": [*plugin.warnings], "notes": [*plugin.notes], "components": components}
    return {**{it: getattr(plugin, it) for it in fields}, **lists}


def _named(offer: InstalledComponent) -> dict[str, Any]:
    """A component as JSON."""
    return {
        "kind": offer.kind,
        "name": offer.name,
        "full_name": offer.full_name,
        "summary": offer.component.summary,
        "factory": offer.component.factory,
    }


def _explained(offer: InstalledComponent) -> dict[str, Any]:
    """A component and its options as JSON. BrokenComponent if its factory cannot be imported."""
    import inspect

    from pydantic_core import to_jsonable_python

    from aaeframe.components.options import REQUIRED, misplaced_options, options_for

    def described(option: Option) -> dict[str, Any]:
        required = option.default is REQUIRED
        default = None if required else to_jsonable_python(option.default, fallback=repr)
        fields = {"name": option.name, "type": option.type, "default": default, "required": required}
        return {**fields, "doc": option.doc}

    doc = inspect.cleandoc(offer.factory().__doc__ or "").split("\n\n")[0]
    return {
        **_named(offer),
        "distribution": offer.distribution,
        "version": offer.version,
        "doc": doc,
        "options": [described(option) for option in options_for(offer)],
        "not_keyword_only": [*misplaced_options(offer)],
    }


def _print_requirements(context: typer.Context, run: Path | None, json: bool) -> None:
    """Print the installed distributions, or those that a run was made with, one a line."""
    from aaeframe.cli.console import print_json, say
    from aaeframe.components.requirements import installed, lines

    if run is None:
        versions = installed(options.registry(context))
    else:
        from aaeframe.runs.reading import read_config
        from aaeframe.storage.run_folder import RunFolder

        versions = read_config(RunFolder(run)).plugins
    if json:
        print_json({"requirements": lines(versions)})
        return
    for line in lines(versions):
        say(line)


def _print_list(console: Console, registry: Registry) -> None:
    from aaeframe.cli.console import table

    columns = ("status", "distribution", "version", "entry point", "module")
    plugins = [(it.status, it.distribution, it.version, it.name, it.module) for it in registry.plugins]
    console.print(table("Plugins", columns, plugins, numbers=False))
    components = [
        (it.kind, registry.shortest_name(it), it.component.summary, it.distribution) for it in registry.offers()
    ]
    console.print(table("Components", ("kind", "name", "summary", "distribution"), components, numbers=False))
    for plugin in registry.plugins:
        for warning in plugin.warnings:
            _print_line(console, f"warning: {plugin}: {warning}")
        for note in plugin.notes:
            _print_line(console, f"note: {plugin}: {note}")
        if plugin.error is not None:
            _print_line(console, f"{plugin}")
            _print_line(console, f"  at {plugin.location}" if plugin.location else "")
            _print_line(console, f"  to fix it, if it is yours: aaeframe plugins check {plugin.distribution} says more")
            _print_line(console, f"  to remove it: pip uninstall {plugin.distribution}")


def _print_info(console: Console, component: dict[str, Any]) -> None:
    from aaeframe.cli.console import table
    from aaeframe.components.options import put_star

    _print_line(console, f"{component['kind']} {component['full_name']}: {component['summary']}")
    _print_line(console, f"from {component['distribution']} {component['version']}, {component['factory']}")
    if component["doc"]:
        _print_line(console, f"\n{component['doc']}\n")
    rows = [(it["name"], it["type"], _default(it), it["doc"]) for it in component["options"]]
    columns = ("option", "type", "default", "doc")
    console.print(table("Options", columns, rows, numbers=False) if rows else "no options")
    if component["not_keyword_only"]:
        _print_line(console, f"warning: {put_star(component['not_keyword_only'])}")


def _default(option: dict[str, Any]) -> str:
    if option["required"]:
        return "required"
    return "not set" if option["default"] is None else str(option["default"])


def _printed(console: Console, title: str, outcomes: Iterable[Outcome]) -> Iterable[Outcome]:
    """Print each outcome and yield it."""
    marks = {"passed": "pass", "failed": "FAIL", "inapplicable": "n/a "}
    _print_line(console, title)
    for outcome in outcomes:
        message = f": {outcome.message}" if outcome.message else ""
        _print_line(console, f"  {marks[outcome.verdict]}  {outcome.id}{message}")
        yield outcome


def _print_line(console: Console, text: str) -> None:
    """Print text without markup or wrapping."""
    console.print(text, markup=False, soft_wrap=True)
