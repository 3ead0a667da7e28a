"""The blocks and functions around an address."""

import gdb


def scopes(pc):
    """The blocks around a pc up to the function's, each with the number of its frame."""
    block, frame = gdb.block_for_pc(pc), 0
    while block is not None and not block.is_global and not block.is_static:
        yield frame, block
        if block.function is not None:
            frame += 1
        block = block.superblock


def functions_at(pc):
    """The blocks of the inlined calls around a pc, innermost first, and of the function itself."""
    return [block for _, block in scopes(pc) if block.function is not None]
