"""Help of the commands: no type beside a flag, and names of installed components beside options that take one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from aaeframe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _tidy(parameters: list[Any], panel: str | None) -> list[Any]:
    """Flags show no type, as they take no value. Options without a panel are shown in this one."""
    for it in parameters:
        if getattr(it, "is_flag", False):
            it.metavar = ""
        if panel is not None and not it.rich_help_panel:
            it.rich_help_panel = panel
    return parameters


class Command(TyperCommand):
    """A command."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters as they are shown and parsed."""
        return _tidy(super().get_params(ctx), None)


class Group(TyperGroup):
    """A group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters as they are shown and parsed."""
        return _tidy(super().get_params(ctx), None)


class RunCommand(Command):
    """A command that configures a run. Its help has panels, and names the components that are installed."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters as they are shown and parsed."""
        return _tidy(super().get_params(ctx), "Output")

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help. Plugins are loaded for it, but no component is imported."""
        names = _component_names(ctx)
        for it in self.params:
            if it.name in names and isinstance(it, typer.core.TyperOption):
                it.help = f"{it.help} Installed: {names[it.name]}."
        super().format_help(ctx, formatter)


class App(typer.Typer):
    """A typer application with commands of these classes."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"cls": Group, "no_args_is_help": True, **settings})

    def command(self, name: str | None = None, *, cls: Any = Command, **settings: Any) -> Callable[[Any], Any]:
        """Register a command."""
        return super().command(name, cls=cls, **settings)


def refuse_options(context: typer.Context) -> None:
    """ConfigError for options of a group in front of one of its commands: they would have no effect."""
    for it in context.command.params:
        source = context.get_parameter_source(it.name or "")
        if source is not None and source.name == "COMMANDLINE":
            group = f"aaeframe {context.info_name}"
            raise ConfigError(
                f"{it.opts[0]} is an option of {group}, not of {group} {context.invoked_subcommand}; leave it out, or "
                "give it after the command if that has it too"
            )


_OPTIONS: Final[Mapping[str, str]] = {"data-set": "data"}
"""The options that have another name than the kind of component they take."""


def _component_names(context: typer.Context) -> Mapping[str, str]:
    """The names of the installed components, as text, by the option that takes them; `presets list` has presets."""
    from aaeframe.components.registry import KINDS, Registry

    registry = Registry.load((context.obj or {}).get("no_plugins", ()))
    kinds = [kind for kind in KINDS if kind not in ("preset", "benchmark")]
    names = {_OPTIONS.get(kind, kind): [registry.shortest_name(it) for it in registry.offers(kind)] for kind in kinds}
    return {kind: ", ".join(found) or "none" for kind, found in names.items()}
