"""A compiled program's cost on a chip, modeled from its HLO; nothing is measured.

The time of each operation is bound by arithmetic or by memory, and loops count as often as they
turn. The HLO does not show the arithmetic of fused attention, so the caller states it. Operations
do not overlap with one another; communication overlaps with computation.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "f64": 8, "s64": 8}
_BYTES |= {"u64": 8, "s4": 1, "u4": 1, "token": 0}
_SHAPE = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\](\{[^}]*\})?")
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*)$")
_NAMES = re.compile(r"%([\w.\-]+)")
COLLECTIVES = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
_FREE = frozenset({"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"})
_FREE |= {"domain", "partition-id", "replica-id", "iota", "opt-barrier"}


@dataclass(frozen=True)
class Instruction:
    """One line of HLO: its result's type, operation, operands and the whole text behind them."""

    name: str
    result: str
    operation: str
    operands: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Cost:
    """What a program does in one call, on one device.

    Attributes:
        flops: floating-point operations of matrix products.
        wide: those of `flops` whose operands are float32.
        moved: bytes read and written.
        seconds: time of computation, the sum over operations.
        collectives: bytes that collectives transfer, by the name of the operation.
        opaque: number of calls of attention kernels, whose arithmetic the HLO does not show.
    """

    flops: float = 0.0
    wide: float = 0.0
    moved: float = 0.0
    seconds: float = 0.0
    collectives: Mapping[str, float] = field(default_factory=dict)
    opaque: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.flops + other.flops,
            self.wide + other.wide,
            self.moved + other.moved,
            self.seconds + other.seconds,
            _summed(self.collectives, other.collectives),
            _summed(self.opaque, other.opaque),
        )

    def times(self, count: float) -> "Cost":
        """The cost of so many calls."""
        flops, wide, moved, seconds = (
            x * count for x in (self.flops, self.wide, self.moved, self.seconds)
        )
        collectives, opaque = (
            {name: value * count for name, value in held.items()}
            for held in (self.collectives, self.opaque)
        )
        return Cost(flops, wide, moved, seconds, collectives, opaque)


def _summed(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    return {name: a.get(name, 0.0) + b.get(name, 0.0) for name in {**a, **b}}


def program_cost(hlo: str, flops_per_second: float, bytes_per_second: float) -> Cost:
    """The cost of a compiled program.

    Args:
        hlo: text of the optimized module, from ``compiled.as_text()``.
        flops_per_second: the chip's peak for bfloat16 products; float32 ones take four times as
            long.
        bytes_per_second: bandwidth of its memory.
    """
    return _Module(hlo, flops_per_second, bytes_per_second).cost()


class _Module:
    """The computations of an HLO module."""

    def __init__(self, hlo: str, peak: float, bandwidth: float) -> None:
        self.peak, self.bandwidth = peak, bandwidth
        self.parts: dict[str, dict[str, Instruction]] = {}
        self.entry = ""
        self._parse(hlo.splitlines())
        self._known: dict[str, Cost] = {}
        starts = (part for part in self.parts.values() if _starts(part))
        self._spread = {_channel(one) for part in starts for one in part.values()}

    def _parse(self, lines: Iterable[str]) -> None:
        here: dict[str, Instruction] = {}
        for line in lines:
            if line.endswith("{") and " -> " in line and not line.startswith(" "):
                name = line.removeprefix("ENTRY ").split()[0].strip("%")
                here = self.parts.setdefault(name, {})
                self.entry = name if line.startswith("ENTRY") else self.entry
            elif found := _INSTRUCTION.match(line):
                name, result, operation, rest = found.groups()
                inside = rest.split("), ", 1)[0]
                operands = tuple(_NAMES.findall(inside))
                here[name] = Instruction(name, result, operation, operands, rest)

    def cost(self) -> Cost:
        """The cost of the entry computation."""
        return self._of(self.entry)

    def _of(self, name: str) -> Cost:
        if name not in self._known:
            part = self.parts.get(name, {})
            own = Cost(collectives=self._collectives(part))
            self._known[name] = sum((self._one(part, one) for one in part.values()), own)
        return self._known[name]

    def _collectives(self, part: Mapping[str, Instruction]) -> dict[str, float]:
        """Bytes of a computation's collectives by name.

        A TPU may spread one over fusions, also of loops; then it counts where it starts.
        """
        fused = [
            self.parts.get(n, {})
            for i in part.values()
            if i.operation == "fusion"
            for n in _called(i)
        ]
        found: dict[tuple[str, str], float] = {}
        for held in (part, *fused):
            for one in held.values():
                operation = one.operation.removesuffix("-start")
                channel = _channel(one)
                if operation in COLLECTIVES and (channel not in self._spread or _starts(held)):
                    shapes = [one.result, *(held[n].result for n in one.operands if n in held)]
                    found[operation, channel] = max(_largest(shape) for shape in shapes)
        totals: dict[str, float] = {}
        for (operation, _), size in found.items():
            totals[operation] = totals.get(operation, 0.0) + size
        return totals

    def _one(self, part: Mapping[str, Instruction], one: Instruction) -> Cost:
        operation = one.operation.removesuffix("-start")
        if operation in _FREE or operation.endswith("-done"):
            return Cost()
        if operation == "while":
            return self._loop(one)
        if operation in ("call", "conditional", "async"):
            return sum((self._of(name) for name in _called(one)), Cost())
        if operation in COLLECTIVES:
            return Cost()  # counted by `_collectives`
        moved = self._moved(part, one)
        flops, wide = self._products(part, one)
        seconds = max((flops + 3 * wide) / self.peak, moved / self.bandwidth)
        seconds = 0.0 if one.operation.endswith("-start") else seconds  # runs beside others
        kernel = _kernel(one) if operation == "custom-call" and not flops else ""
        return Cost(flops, wide, moved, seconds, opaque={kernel: 1.0} if kernel else {})

    def _moved(self, part: Mapping[str, Instruction], one: Instruction) -> float:
        """Bytes that an instruction reads and writes; of a buffer that it cuts, the cut alone."""
        inner = self.parts.get(_called(one)[0], {}) if one.operation == "fusion" else {}
        if not inner:
            inner, read = {one.name: one}, [(n, n) for n in one.operands]
        else:
            own = [i.name for i in inner.values() if i.operation == "parameter"]
            own.sort(key=lambda name: int(inner[name].text.split(")")[0]))
            read = list(zip(own, one.operands, strict=False))
        reads = sum(_read(inner, mine, part[n].result) for mine, n in read if n in part)
        writes = [i for i in inner.values() if i.operation == "dynamic-update-slice"]
        if not writes:
            return reads + _size(one.result)
        updates = (write.operands[1] for write in writes)
        return reads + sum(2 * _size((inner.get(n) or part[n]).result) for n in updates)

    def _loop(self, one: Instruction) -> Cost:
        body, condition = (re.search(rf"{n}=%?([\w.\-]+)", one.text) for n in ("body", "condition"))
        known = re.search(r'known_trip_count":\{"n":"(\d+)"', one.text)
        assert body is not None and condition is not None
        turns = int(known.group(1)) if known else self._bound(condition.group(1))
        return self._of(body.group(1)).times(turns)

    def _bound(self, condition: str) -> int:
        """The largest constant in a loop's condition, which counts its turns from 0."""
        held = self.parts.get(condition, {}).values()
        numbers = (re.match(r"(\d+)\)", i.text) for i in held if i.operation == "constant")
        return max((int(n.group(1)) for n in numbers if n), default=1)

    def _products(self, part: Mapping[str, Instruction], one: Instruction) -> tuple[float, float]:
        """FLOPs of the matrix products in an instruction, and those of float32 operands."""
        if one.operation == "fusion":
            inner = [self.parts[name] for name in _called(one) if name in self.parts]
            found = [self._products(p, i) for p in inner for i in p.values()]
            return sum(f for f, _ in found), sum(w for _, w in found)
        counters = {"dot": _dot_flops, "convolution": _convolution_flops, "gemm": _gemm_flops}
        gemm = one.operation == "custom-call" and "gemm" in _target(one)
        counter = counters.get("gemm" if gemm else one.operation)
        count = counter(part, one) if counter else 0.0
        first = part.get(one.operands[0]) if one.operands else None
        return count, count if first is not None and first.result.startswith("f32") else 0.0


def _called(one: Instruction) -> list[str]:
    found = re.findall(r"(?:calls|to_apply|branch_computations)=\{?([^}\s]*)", one.text)
    return [name.strip("%,") for group in found for name in group.split(",") if name.strip("%,")]


def _channel(one: Instruction) -> str:
    """What all steps of a collective share."""
    found = re.search(r"channel_id=(\d+)", one.text)
    return found.group(1) if found else one.name


def _starts(part: Mapping[str, Instruction]) -> bool:
    """Whether a computation starts a collective that later ones go on with."""
    return any(_target(one) == "AsyncCollectiveStart" for one in part.values())


def _target(one: Instruction) -> str:
    found = re.search(r'custom_call_target="([^"]*)"', one.text)
    return found.group(1) if found else ""


def _kernel(one: Instruction) -> str:
    """Name of a kernel of attention that a custom call runs; "" for other calls."""
    target = _target(one)
    if target == "tpu_custom_call":
        return re.sub(r"[.\d]*$", "", one.name)
    return target if "fmha" in target else ""


def _largest(shape: str) -> float:
    """Bytes of the largest array in a type; an asynchronous start lists operands and counters."""
    sizes = [_size(m.group(0).split("{")[0]) for m in _SHAPE.finditer(shape)]
    return max(sizes, default=0.0)


def _read(inner: Mapping[str, Instruction], name: str, shape: str) -> float:
    """Bytes of an operand that a computation reads: slices of it, if nothing else uses it."""
    users = [i for i in inner.values() if name in i.operands]
    cuts = ("dynamic-slice", "gather")
    if users and all(i.operation in cuts and i.operands[0] == name for i in users):
        return sum(_size(i.result) for i in users)
    if users and all(
        i.operation == "dynamic-update-slice" and i.operands[0] == name for i in users
    ):
        return 0.0
    return _size(shape)


def _dims(shape: str) -> list[int]:
    found = _SHAPE.search(shape)
    return [int(n) for n in found.group(2).split(",") if n] if found else []


def _size(shape: str) -> float:
    """Bytes of a type, or of all in a tuple; memory spaces S(n) lie on the chip and are free."""
    return float(
        sum(
            _BYTES.get(kind, 4) * math.prod(int(n) for n in dims.split(",") if n)
            for kind, dims, layout in _SHAPE.findall(shape)
            if "S(" not in layout
        )
    )


def _dot_flops(part: Mapping[str, Instruction], one: Instruction) -> float:
    left = _dims(part[one.operands[0]].result) if one.operands[0] in part else []
    found = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", one.text)
    over = [int(n) for n in found.group(1).split(",") if n] if found else []
    return 2.0 * math.prod(_dims(one.result)) * math.prod(left[i] for i in over if i < len(left))


def _convolution_flops(part: Mapping[str, Instruction], one: Instruction) -> float:
    """TPUs write products as convolutions: the kernel's i axis and its window are summed over."""
    labels = re.search(r"dim_labels=\w+_(\w+)->", one.text)
    kernel = _dims(part[one.operands[1]].result) if one.operands[1] in part else []
    if not labels or not kernel:
        return 0.0
    summed = kernel[labels.group(1).index("i")]
    window = re.search(r"window=\{size=([\dx]+)([^}]*)", one.text)
    if window and "pad" not in window.group(2) and "reversal" not in window.group(2):
        summed *= math.prod(int(n) for n in window.group(1).split("x"))
    return 2.0 * math.prod(_dims(one.result)) * summed


def _gemm_flops(part: Mapping[str, Instruction], one: Instruction) -> float:
    """Of a library's product: the axis that both operands share is in its configuration."""
    left = _dims(part[one.operands[0]].result) if one.operands[0] in part else []
    found = re.search(r'"lhs_contracting_dimensions":\[([^\]]*)\]', one.text)
    over = [int(n.strip('" ')) for n in found.group(1).split(",") if n.strip('" ')] if found else []
    result = re.sub(r"\(([^,]*,[^,]*?\]).*", r"\1", one.result)
    return 2.0 * math.prod(_dims(result)) * math.prod(left[i] for i in over if i < len(left))
