"""Every error the framework raises on purpose.

    AaeframeError
    ├── ComponentError                  a plugin component is not available
    │   ├── UnknownComponent            no plugin offers the name       (LookupError)
    │   ├── AmbiguousComponent          several plugins offer the name  (LookupError)
    │   └── BrokenComponent             its factory is missing or fails
    ├── PluginError                     a blocked name matches no plugin
    ├── PackageError                    a package for a plugin cannot be made as requested (ValueError)
    ├── OptionError                     an option is unknown, of the wrong type or out of range (ValueError)
    ├── ConfigError                     parts of a configuration do not fit together (ValueError)
    ├── DataError                       data is missing, unreadable, empty or not finite (ValueError)
    │   ├── MissingName                 a column or an array that an option names does not exist
    │   ├── AmbiguousLabels             a column can hold the labels or a feature
    │   └── DownloadError               a download failed or is not the expected file
    ├── RunError                        a run folder is missing, taken, or cannot be written
    │   ├── ReadOnly                    a file cannot be written because its folder or disk is read-only
    │   ├── ProcessError                another process of the training has ended, is too slow or differs
    │   └── CheckpointError             a checkpoint is missing, or not for this installation
    │       └── UnusableCheckpoint      it is truncated or altered, or a file that it needs is lost
    ├── DeviceError                     the device does not exist
    ├── ExportError                     a model cannot be exported, or its file does not give what the model gives
    └── TrainingDiverged                a loss is no longer finite      (ArithmeticError)

A message says what was asked, what was found, what is available and what to do. The command line prints it
without a traceback and exits with the class's `exit_code`: 2 for what the user can fix, 1 for what happened.
"""

from __future__ import annotations

from typing import ClassVar


class AaeframeError(Exception):
    """The root of the framework's errors."""

    exit_code: ClassVar[int] = 2
    printed_elsewhere: bool | None = None
    """Whether another of several processes prints this error; None before they are joined."""


class ComponentError(AaeframeError):
    """A plugin component is not available."""


class UnknownComponent(ComponentError, LookupError):
    """No installed plugin offers a component of this kind and name."""


class AmbiguousComponent(ComponentError, LookupError):
    """Several plugins offer a component under this short name."""


class BrokenComponent(ComponentError):
    """A plugin offers the component, but its factory is missing or fails."""


class PluginError(AaeframeError):
    """A plugin named by the user, such as one to block, does not exist."""


class PackageError(AaeframeError, ValueError):
    """A package for a new plugin cannot be made as requested: its name, author or folder is not usable."""


class OptionError(AaeframeError, ValueError):
    """An option is unknown, of the wrong type or out of range."""


class ConfigError(AaeframeError, ValueError):
    """Parts of a configuration are wrong or do not fit together."""


class DataError(AaeframeError, ValueError):
    """Data is missing, unreadable, empty, not finite or not of the expected shape."""


class MissingName(DataError):
    """A column or an array that an option for reading names does not exist."""

    def __init__(self, message: str, option: str, name: str) -> None:
        super().__init__(message)
        self.option, self.name = option, name


class AmbiguousLabels(DataError):
    """A column of a table can hold the labels or a feature, and no option decides."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class DownloadError(DataError):
    """A download failed, or is not the expected file."""


class RunError(AaeframeError):
    """A run folder is missing, taken, or cannot be written."""


class ReadOnly(RunError):
    """A file cannot be written because its folder, or its disk, is read-only for this user."""


class ProcessError(RunError):
    """Another process of a training on several has ended, is too slow, or differs from this one."""


class CheckpointError(RunError):
    """A checkpoint is missing, too new, or needs what is not installed."""


class UnusableCheckpoint(CheckpointError):
    """A checkpoint is truncated or altered, or a file that it needs is lost; an older one may be intact."""


class DeviceError(AaeframeError):
    """The device asked for is not on this machine."""


class ExportError(AaeframeError):
    """A model cannot be written in a format, or the file does not give what the model gives."""

    exit_code: ClassVar[int] = 1


class TrainingDiverged(AaeframeError, ArithmeticError):
    """A loss or a weight is no longer finite; names the step, the phase and the block."""

    exit_code: ClassVar[int] = 1


class PluginWarning(UserWarning):
    """A component changed a state that all code shares."""


class TrainingWarning(UserWarning):
    """A training that fails in a known way, or a run whose codes do not follow their prior."""


class StopRun(Exception):
    """Raised by an observer to end its training. The run is saved, and can be resumed."""
