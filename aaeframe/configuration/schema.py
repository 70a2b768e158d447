"""The configuration of a run: TOML in and out, validated whole.

    [data]                      source = "digits"
    [prior.<block>]             component = "aaeframe:swissroll", options = {...}
    [encoder] [network] [discriminator]
    [recipe]                    component = "aaeframe:unsupervised", options = {...}
    [training]                  schedule, epochs, seed, ...
    [label_free]                virtual_adversarial, mutual_information, ...
    [evaluation]                metrics = ["mmd"]
    [optimizers.<phase>]        name = "adam", lr, ...
    [observers.<name>]          component = "aaeframe:csv", options = {...}

Wherever a component, an optimizer or a product of priors stands, its short form may stand too:
`encoder = "universal(noise_size=5)"`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import tomli_w
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    SerializeAsAny,
    Tag,
    ValidationError,
    model_validator,
)

from aaeframe.components.requirements import check_name, check_version
from aaeframe.configuration.optimizers import OptimizerConfig, optimizer
from aaeframe.configuration.reading import ReadOptions
from aaeframe.configuration.shorthand import check_block_name, check_observer_name, cut, expand
from aaeframe.configuration.strict import Strict
from aaeframe.errors import ConfigError
from aaeframe.storage.formats import LONGEST, loads_toml
from aaeframe.storage.problems import Place, dotted, problems

Table: TypeAlias = dict[str, Any]

Precision: TypeAlias = Literal["fp32", "tf32", "bf16"]
"""The kinds of arithmetic of products."""


class ComponentConfig(Strict):
    """A plugin component and its options."""

    component: str
    options: Table = Field({})


BlockName: TypeAlias = Annotated[str, AfterValidator(check_block_name)]


class Ramp(Strict):
    """A weight that grows, or falls, geometrically over a part of the run."""

    begin: float = Field(gt=0, description="its value up to the share `after` of the epochs")
    end: float = Field(gt=0, description="its value from the share `until` of the epochs on")
    after: float = Field(0.0, ge=0, le=1)
    until: float = Field(1.0, ge=0, le=1)

    @model_validator(mode="after")
    def _in_order(self) -> Ramp:
        if self.after >= self.until:
            raise ValueError(f"after={self.after} must be less than until={self.until}")
        return self

    def at(self, epoch: int, epochs: int) -> float:
        """The weight in the epoch-th of `epochs` epochs, counted from 0."""
        share = (epoch / epochs - self.after) / (self.until - self.after)
        return self.begin * (self.end / self.begin) ** min(1.0, max(0.0, share))


def _kind_of_weight(value: Any) -> str:
    return "ramp" if isinstance(value, Mapping | Ramp) else "number"


Weight: TypeAlias = Annotated[
    Annotated[float, Field(ge=0), Tag("number")] | Annotated[Ramp, Tag("ramp")], Discriminator(_kind_of_weight)
]


def weight_at(weight: float | Ramp | None, epoch: int, epochs: int) -> float:
    """A weight in the epoch-th of `epochs` epochs, counted from 0; 1 if it is not given."""
    if weight is None:
        return 1.0
    return weight.at(epoch, epochs) if isinstance(weight, Ramp) else weight


class BlockConfig(ComponentConfig):
    """The prior of one latent block, and what stands against it."""

    discriminator: ComponentConfig | None = None
    """In place of the run's discriminator."""
    instance_noise: float = Field(0.0, ge=0, description="standard deviation of the discriminator's input noise")
    softening: float = Field(
        0.0, ge=0, lt=1, description="share of a uniform point of the simplex in one-hot prior samples"
    )
    weight: Weight | None = Field(
        None, description='weight of the generator loss, a number or a ramp, given whole; schedule "joint" only'
    )


Labels: TypeAlias = Annotated[
    Annotated[int, Field(ge=0), Tag("number")] | Annotated[Literal["all"], Tag("name")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "number"),
]


class _DataUse(Strict):
    """Keys of [data] that stand before the options for reading."""

    source: str = Field("digits", description="a name or a path")
    labels: Labels = Field(
        0, description='labeled examples, balanced by class, or "all": told to discriminators, or classified'
    )
    max_resident_mib: float = Field(
        2048, gt=0, description="training data up to this size is kept whole on the device; more is streamed"
    )
    window_mib: float = Field(
        256,
        gt=0,
        description="rows of Parquet, Arrow, shards and .h5ad are shuffled in windows of this size, and streamed if "
        "they are more than one",
    )


class DataConfig(ReadOptions, _DataUse):
    """Source, reading and use of the data."""

    @property
    def reading(self) -> ReadOptions:
        """The options for reading alone."""
        return ReadOptions(**self.given)


class TrainingConfig(Strict):
    """Settings of the training."""

    schedule: str | None = Field(
        None, description="the order of updates: alternating (the paper's) or joint; the recipe's first if not given"
    )
    epochs: int = Field(100, ge=1, description="passes over the unlabeled training set")
    steps: int | None = Field(
        None, ge=1, description="minibatches of the whole run, in place of epochs, which become as many as they take"
    )
    batch_size: int = Field(100, ge=1)
    initial: str | None = Field(None, description="the run whose weights and scale are those at the start")
    labeled_batch_size: int | None = Field(None, ge=1, description="labeled examples a step; batch_size if not given")
    seed: int = Field(0, ge=0, lt=2**63)
    device: str = Field("auto", description="cpu, cuda, cuda:1 ..., or auto: the first GPU, else the CPU")
    precision: Precision = Field("fp32", description="tf32: on a GPU only")
    cuda_graph: bool = Field(True, description="on a GPU, launch each step as one CUDA graph")
    loss: Literal["bce", "hinge", "least-squares", "wasserstein"] = Field(
        "bce", description="what discriminators and generator play for"
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="loss bce: probability that prior samples count as codes for the discriminator"
    )
    gradient_penalty: float = Field(
        0.0, ge=0, description="weight of R1, the discriminators' squared slope at prior samples; 0: none"
    )
    ema: float = Field(
        0.0, ge=0, lt=1, description="decay of the moving average of the weights, used for evaluation; 0: none"
    )
    input_noise: float = Field(0.0, ge=0, description="standard deviation of the encoder's input noise, scaled units")
    input_dropout: float = Field(0.0, ge=0, lt=1, description="probability that an input of the encoder is set to 0")
    initial_std: float | None = Field(
        None, gt=0, description="standard deviation of all weights at first, biases 0; the components' own if not given"
    )
    class_block: str | None = Field(None, description="the block that is the class; found if only one is one-hot")
    reconstruction_weight: Weight | None = Field(
        None, description='weight of the reconstruction loss, a number or a ramp, given whole; schedule "joint" only'
    )
    classification_weight: float | None = Field(
        None, ge=0, description='weight of the cross-entropy of labeled rows; schedule "joint" only'
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="stop after so many validation measurements without improvement, and keep the best checkpoint",
    )
    checkpoint_every: int = Field(10, ge=1, description="epochs between checkpoints; the last two are kept")


class LabelFreeConfig(Strict):
    """Terms that make the class block smooth, confident and balanced without labels; the paper has none of them."""

    virtual_adversarial: float = Field(0.0, ge=0, description="weight of virtual adversarial training; 0: none")
    radius: float | None = Field(
        None, gt=0, description="of the virtual adversarial step, scaled units; 1.5 if not given"
    )
    mutual_information: float = Field(0.0, ge=0, description="weight of H(y|x) - balance H(y); 0: none")
    balance: float | None = Field(
        None, ge=0, description="weight of the entropy of the mean class within it; 4 if not given"
    )
    slack: float | None = Field(
        None,
        ge=0,
        description="how far below log K the entropy of the mean class may be at no cost, in nats; 0 if not given",
    )
    augmentation: float = Field(0.0, ge=0, description="weight of the consistency under small warps of images; 0: none")

    @property
    def used(self) -> bool:
        """Whether any term has a weight."""
        return bool(self.virtual_adversarial or self.mutual_information or self.augmentation)


class EvaluationConfig(Strict):
    """Metrics of every evaluation of the run, besides those of the report."""

    metrics: tuple[str, ...] = Field(
        (), strict=False, description='names with options, as in "sliced-wasserstein(projections=1000)"'
    )


ObserverName: TypeAlias = Annotated[str, AfterValidator(check_observer_name)]


def _with_components(observers: Any) -> Any:
    """An observer without a component is the one of its name."""
    if not isinstance(observers, Mapping):
        return observers
    return {name: {"component": name, **it} if isinstance(it, Mapping) else it for name, it in observers.items()}


class Config(Strict):
    """The whole of a run's configuration."""

    data: DataConfig = DataConfig()
    prior: dict[BlockName, BlockConfig] = Field({"gaussian": BlockConfig(component="aaeframe:gaussian")}, min_length=1)
    encoder: ComponentConfig = ComponentConfig(component="aaeframe:deterministic")
    network: ComponentConfig = ComponentConfig(component="aaeframe:mlp")
    discriminator: ComponentConfig = ComponentConfig(component="aaeframe:mlp")
    recipe: ComponentConfig = ComponentConfig(component="aaeframe:unsupervised")
    training: TrainingConfig = TrainingConfig()
    label_free: LabelFreeConfig = LabelFreeConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    optimizers: dict[str, Annotated[SerializeAsAny[OptimizerConfig], BeforeValidator(optimizer)]] = Field({})
    observers: Annotated[dict[ObserverName, ComponentConfig], BeforeValidator(_with_components)] = Field({})
    plugins: dict[Annotated[str, AfterValidator(check_name)], Annotated[str, AfterValidator(check_version)]] = Field(
        {}, description="distributions and versions the run was made with"
    )

    def to_toml(self) -> str:
        """The configuration as TOML; what is unset is left out. ConfigError if an option has no form in TOML."""
        try:
            return tomli_w.dumps(_without_none(self.model_dump(mode="json")))
        except TypeError as error:
            raise ConfigError(f"the configuration cannot be written as TOML: {error}") from error


def parse(table: Mapping[str, Any]) -> Config:
    """Validate a table; ConfigError lists every problem with its place."""
    try:
        return Config.model_validate(expand(table))
    except ValidationError as error:
        raise ConfigError("the configuration is wrong:\n  " + "\n  ".join(problems(error, _place))) from error


def read(path: Path) -> Table:
    """The table in a TOML file; ConfigError if it is missing or no TOML."""
    try:
        with path.open("rb") as stream:
            content = stream.read(_MOST_BYTES + 1)  # from a pipe or a device no size is known before
        return loads_toml(content.decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"the configuration file {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"the configuration file {path} is not TOML: {error}") from error


def _without_none(value: Any) -> Any:
    """TOML has no word for "not given": such keys are left out, at any depth."""
    if isinstance(value, dict):
        return {key: _without_none(part) for key, part in value.items() if part is not None}
    return value


_MOST_BYTES = 4 * LONGEST  # UTF-8 has four at most for a character


def _place(loc: Place) -> str:
    """The keys that lead to a value, without the kinds that pydantic adds."""
    tagged_keys = (("data", "scale"), ("data", "labels"), ("training", "reconstruction_weight"))
    for tagged in (("prior", *loc[1:2], "weight"), *tagged_keys):
        if loc[: len(tagged)] == tagged:
            loc = tagged + loc[len(tagged) + 1 :]
    return cut(dotted(tuple(it for it in loc if it != "[key]")))
