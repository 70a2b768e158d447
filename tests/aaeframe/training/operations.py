"""Counts of the operations that a piece of code gives a device."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class Operations(TorchDispatchMode):
    """Records the names of the operations inside; views are left out, as they take nothing of a device."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        if not function.is_view:
            self.names.append(function.name().removeprefix("aten::"))
        return function(*arguments, **(keywords or {}))
