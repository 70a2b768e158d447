"""The configuration of a run: TOML in and out, validated whole.

    [data]                      source = "digits"
    [prior.<block>]             component = "aaeframe:swissroll", options = {...}
    [encoder] [network] [discriminator]
    [training]                  recipe, schedule, epochs, seed, ...
    [optimizers.<phase>]        name = "adam", lr, ...

Layers are plain tables, laid over each other before they are validated: defaults, preset, file, flags. Wherever a
component or an optimizer stands, its short form may stand too: `encoder = "universal(noise_size=5)"`.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from aaeframe.errors import ConfigError
from aaeframe.expression import BLOCK_NAME, parse_component, parse_product

Table: TypeAlias = dict[str, Any]


class Strict(BaseModel):
    """A table with known keys only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class ComponentConfig(Strict):
    """A plugin component and its options."""

    component: str
    options: Table = {}


class BlockConfig(ComponentConfig):
    """The prior of one latent block, and what stands against it."""

    discriminator: ComponentConfig | None = None
    """In place of the run's discriminator."""
    instance_noise: float = Field(0.0, ge=0, description="standard deviation of the discriminator's input noise")
    weight: float | None = Field(None, ge=0, description='weight of the generator loss; schedule "joint" only')


class DataConfig(Strict):
    """Where the data comes from."""

    source: str = Field("digits", description="a name or a path")
    label_key: str | None = Field(None, description="the column or array that holds the labels; found if not given")
    labels: int = Field(0, ge=0, description="labeled examples told to the discriminators, balanced by class")
    max_resident_mib: float = Field(
        2048, gt=0, description="training data up to this size is kept whole on the device; more is streamed"
    )


class Rate(Strict):
    """A learning rate over the epochs of a run."""

    lr: float = Field(gt=0)
    milestones: list[int] = Field([], description="epochs after which the learning rate is multiplied by gamma")
    gamma: float = Field(0.1, gt=0)
    anneal_from: float = Field(
        1.0, ge=0, le=1, description="share of the epochs after which the rate falls linearly towards 0; 1: never"
    )

    def at(self, epoch: int, epochs: int) -> float:
        """The learning rate of the epoch-th of `epochs` epochs, counted from 0."""
        steps = sum(milestone <= epoch for milestone in self.milestones)
        left = (1 - epoch / epochs) / (1 - self.anneal_from) if self.anneal_from < 1 else 1.0
        return self.lr * self.gamma**steps * min(1.0, left)


class SGDConfig(Rate):
    """Stochastic gradient descent."""

    name: Literal["sgd"]
    lr: float = Field(0.01, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)


class AdamConfig(Rate):
    """Adam (arXiv 1412.6980), or AdamW (arXiv 1711.05101)."""

    name: Literal["adam", "adamw"]
    lr: float = Field(1e-3, gt=0)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.5, 0.999), strict=False
    )
    weight_decay: float = Field(0.0, ge=0)
    anneal_from: float = Field(
        0.5, ge=0, le=1, description="share of the epochs after which the rate falls linearly towards 0; 1: never"
    )


OptimizerConfig: TypeAlias = Annotated[SGDConfig | AdamConfig, Field(discriminator="name")]


class TrainingConfig(Strict):
    """How the run trains."""

    recipe: str = "unsupervised"
    schedule: str = Field("alternating", description="the order of updates: alternating (the paper's) or joint")
    epochs: int = Field(100, ge=1, description="passes over the unlabeled training set")
    batch_size: int = Field(100, ge=1)
    labeled_batch_size: int | None = Field(None, ge=1, description="labeled examples a step; batch_size if not given")
    seed: int = Field(0, ge=0, lt=2**63)
    device: str = Field("auto", description="cpu, cuda, cuda:1 ..., or auto: the first GPU, else the CPU")
    precision: Literal["fp32", "bf16"] = "fp32"
    ema: float = Field(
        0.0, ge=0, lt=1, description="decay of the moving average of the weights, used for evaluation; 0: none"
    )
    input_noise: float = Field(0.0, ge=0, description="standard deviation of the encoder's input noise, scaled units")
    reconstruction_weight: float | None = Field(
        None, gt=0, description='weight of the reconstruction loss; schedule "joint" only'
    )
    checkpoint_every: int = Field(10, ge=1, description="epochs between checkpoints; the last two are kept")


def _without_none(value: Any) -> Any:
    """TOML has no word for "not given": such keys are left out, at any depth."""
    if isinstance(value, dict):
        return {key: _without_none(part) for key, part in value.items() if part is not None}
    return value


def _component(value: Any) -> Any:
    return parse_component(value) if isinstance(value, str) else value


def _product(value: Any) -> Any:
    return parse_product(value) if isinstance(value, str) else value


def _optimizer(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parsed = parse_component(value)
    return {"name": parsed["component"], **parsed["options"]}


_SHORT_FORMS = {"prior": _product, "encoder": _component, "network": _component, "discriminator": _component}
ComponentField: TypeAlias = Annotated[ComponentConfig, BeforeValidator(_component)]


class Config(Strict):
    """The whole of a run's configuration."""

    data: DataConfig = DataConfig()
    prior: Annotated[
        dict[Annotated[str, Field(pattern=BLOCK_NAME.pattern + r"\z")], BlockConfig],
        BeforeValidator(_product),
        Field(min_length=1),
    ] = {"gaussian": BlockConfig(component="aaeframe:gaussian")}
    encoder: ComponentField = ComponentConfig(component="aaeframe:deterministic")
    network: ComponentField = ComponentConfig(component="aaeframe:mlp")
    discriminator: ComponentField = ComponentConfig(component="aaeframe:mlp")
    training: TrainingConfig = TrainingConfig()
    optimizers: dict[str, Annotated[OptimizerConfig, BeforeValidator(_optimizer)]] = {}
    plugins: dict[str, str] = Field({}, description="distributions and versions the run was made with")

    def to_toml(self) -> str:
        """The configuration as TOML; what is unset is left out."""
        return tomli_w.dumps(_without_none(self.model_dump(mode="json")))


def parse(table: Mapping[str, Any]) -> Config:
    """Validate a table; ConfigError lists every problem with its place."""
    try:
        return Config.model_validate(dict(table))
    except ValidationError as error:
        raise ConfigError("the configuration is wrong:\n  " + "\n  ".join(_problems(error))) from error


def read(path: Path) -> Table:
    """The table in a TOML file; ConfigError if it is missing or no TOML."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"the configuration file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"the configuration file {path} is not TOML: {error}") from error


def layer(*tables: Mapping[str, Any]) -> Table:
    """The tables over each other, the last on top. A component or optimizer named anew brings its own options."""
    result: Table = {}
    for table in tables:
        result = _over(result, {key: _expanded(key, value) for key, value in table.items()})
    return result


def assignment(text: str) -> Table:
    """`key.path=value` as a table; the value as in TOML, or a bare string."""
    path, equals, value = text.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise ConfigError(f"--set takes key.path=value, found {text!r}; for example --set training.epochs=20")
    table: Any = _value(value.strip())
    for key in reversed(keys):
        table = {key: table}
    return table


def _value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return parsed["value"] if parsed.keys() == {"value"} else text


def _expanded(key: str, value: Any) -> Any:
    """Short forms as tables, so that layers above can reach inside."""
    if key in _SHORT_FORMS:
        return _SHORT_FORMS[key](value)
    if key == "optimizers" and isinstance(value, Mapping):
        return {phase: _optimizer(optimizer) for phase, optimizer in value.items()}
    return value


def _over(below: Any, above: Any) -> Any:
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    if "component" in above or "name" in above:
        return dict(above)
    if any(isinstance(block, Mapping) and "component" in block for block in above.values()):
        return dict(above)  # a prior named anew replaces the product, not one of its factors
    return {**below, **{key: _over(below.get(key), value) for key, value in above.items()}}


def _problems(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors(include_url=False):
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.append(f"{place}: unknown key{_nearest(problem['loc'])}")
        elif problem["type"] == "value_error":
            lines.append(f"{place}: {problem['ctx']['error']}")
        else:
            lines.append(f"{place}: {problem['msg'].lower()}, found {problem['input']!r}")
    return lines


def _nearest(loc: tuple[int | str, ...]) -> str:
    """A hint at the known key nearest to the last part of `loc`."""
    tables: dict[str, type[BaseModel]] = {
        "data": DataConfig, "training": TrainingConfig, "encoder": ComponentConfig, "network": ComponentConfig,
        "discriminator": ComponentConfig, "prior": BlockConfig,
    }  # fmt: skip
    model: type[BaseModel] = Config if len(loc) == 1 else tables.get(str(loc[0]), AdamConfig)
    known = list(model.model_fields)
    near = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
