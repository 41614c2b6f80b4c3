"""The last minutes in blocks: for a gate's recent stretch, stable's burn and the bake's burn rates.

Blocks keep a checkpoint small: at most about sixty, whatever the tick and the soak.
"""

from dataclasses import dataclass

from rollwarden.judge.eprocess import Exposure
from rollwarden.judge.lag import TickEvidence

SHORTEST_BLOCK_SECONDS = 15.0
MOST_BLOCKS = 60


@dataclass(frozen=True, slots=True)
class Block:
    """Judged ticks from `start` on, `seconds` long, summed. `stable_high` is stable's bad at the highest rate."""

    start: float
    seconds: float
    canary_total: float
    canary_bad: float
    stable_total: float
    stable_bad: float
    stable_high: float


Blocks = tuple[Block, ...]


def push(blocks: Blocks, tick: TickEvidence, *, keep_seconds: float, new_block_at: float) -> Blocks:
    """Add a judged tick. A block that began before `new_block_at` (a gate's start) takes no tick from after it."""
    start = tick.time - tick.seconds
    length = max(SHORTEST_BLOCK_SECONDS, keep_seconds / MOST_BLOCKS)
    added = Block(
        start,
        tick.seconds,
        tick.canary_total,
        tick.canary_bad,
        tick.stable_total,
        tick.stable_bad,
        tick.stable_high,
    )
    if blocks:
        last = blocks[-1]
        same_gate = start < new_block_at or last.start >= new_block_at
        if same_gate and last.seconds + tick.seconds <= length + 1e-9:
            blocks, added = blocks[:-1], total((last, added))
    kept = (*blocks, added)
    return tuple(block for block in kept if block.start + block.seconds > tick.time - keep_seconds - length)


def total(blocks: Blocks) -> Block:
    """The sum of some blocks, beginning where the first does; zeros for none."""
    return Block(
        blocks[0].start if blocks else 0.0,
        sum(block.seconds for block in blocks),
        sum(block.canary_total for block in blocks),
        sum(block.canary_bad for block in blocks),
        sum(block.stable_total for block in blocks),
        sum(block.stable_bad for block in blocks),
        sum(block.stable_high for block in blocks),
    )


def last_seconds(blocks: Blocks, seconds: float, *, since: float | None = None) -> Block:
    """The sum of the fewest last blocks that cover `seconds`, none from before `since`; shorter where there is less."""
    chosen: list[Block] = []
    covered = 0.0
    for block in reversed(blocks):
        if covered >= seconds - 1e-9 or (since is not None and block.start < since - 1e-9):
            break
        chosen.append(block)
        covered += block.seconds
    return total(tuple(reversed(chosen)))


def exposure(block: Block) -> Exposure:
    """A block as the rollback process sees it."""
    return Exposure(block.canary_total, block.canary_bad, block.stable_total, block.stable_high)
