"""What a transfer of weights did."""

from dataclasses import dataclass
from typing import NamedTuple


class Moved(NamedTuple):
    """A weight of the target that has a new value, and the name in the source that it came from."""

    target: str
    source: str
    shape: tuple[int, ...]


class Untouched(NamedTuple):
    """A weight of the target that kept its value, and why."""

    target: str
    shape: tuple[int, ...]
    reason: str


class Unused(NamedTuple):
    """A weight of the source that went nowhere."""

    source: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class TransferReport:
    """What `copy_weights` did; `print(report)` shows it as a table.

    Attributes:
        moved: `(target, source, shape)` of each weight that was copied.
        untouched: `(target, shape, reason)` of each weight of the target that kept its value.
        unused: `(source, shape)` of each weight of the source that went nowhere.

    Example:

    >>> report = TransferReport((Moved("encoder/kernel", "kernel", (8, 4)),), (), (Unused("bias", (4,)),))
    >>> print(report)
    1 weight moved, 0 of the target untouched, 1 of the source unused.
    moved   encoder/kernel  (8, 4)  from kernel
    unused  bias            (4,)
    """

    moved: tuple[Moved, ...]
    untouched: tuple[Untouched, ...]
    unused: tuple[Unused, ...]

    def __str__(self) -> str:
        weights = "1 weight" if len(self.moved) == 1 else f"{len(self.moved)} weights"
        rows = [("moved", row.target, str(row.shape), f"from {row.source}") for row in self.moved]
        rows += [("untouched", row.target, str(row.shape), row.reason) for row in self.untouched]
        rows += [("unused", row.source, str(row.shape), "") for row in self.unused]
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
        lines = [
            f"{weights} moved, {len(self.untouched)} of the target untouched, "
            f"{len(self.unused)} of the source unused."
        ]
        for row in rows:
            columns = [column.ljust(width) for column, width in zip(row, widths, strict=False)]
            lines.append("  ".join([*columns, row[3]]).rstrip())
        return "\n".join(lines)
