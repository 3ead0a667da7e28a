"""Attaches to a waiting process, stops it at some addresses and writes down what the variables in
scope there hold, and what some of them hold at other addresses that the same call comes through
before or next."""

import json

import gdb
from leaves import Leaves
from moved import Moved, key_of
from scopes import scopes

REGISTERS = "rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip".split()


def is_enumerator(symbol):
    kind = symbol.type
    names = [field.name for field in kind.fields()] if kind.code == gdb.TYPE_CODE_ENUM else []
    return symbol.is_constant and symbol.name in names


def frames_of(blocks, frame):
    """The frame of each number of a scope. gdb does not show inlined calls that have just begun;
    it answers wrongly (DW_OP_entry_value) if it is asked in another frame than the variable's."""
    shown = [frame]
    while shown[-1].type() == gdb.INLINE_FRAME:
        shown.append(shown[-1].older())
    hidden = blocks[-1][0] + 1 - len(shown) if blocks else 0
    return {number: shown[max(number - hidden, 0)] for number, _ in blocks}


def entry_value(symbol, frame):
    """What a parameter held when its function was entered, by what its caller says."""
    frame.select()
    # The syntax is not that of each language.
    gdb.execute("set language c")
    try:
        value = gdb.parse_and_eval(symbol.name + "@entry")
        value.fetch_lazy()
        return None if value.is_optimized_out else value
    except (gdb.error, gdb.MemoryError, RuntimeError):
        return None
    finally:
        gdb.execute("set language auto")


def lines_of(blocks, frames, pc):
    """The file and line at which each number of a scope is, and whether no code of that line was
    executed yet, as far as the order of the code tells; `None` where gdb does not show the frame."""
    shown = {}
    for number, frame in frames.items():
        is_hidden = number + 1 in frames and frames[number + 1] == frame
        if number == 0:
            sal = gdb.find_pc_line(pc)
            shown[0] = (sal.symtab, sal.line, sal.pc == pc)
        elif not is_hidden:
            sal = frame.find_sal()
            shown[number] = (sal.symtab, sal.line, False)
    return shown


def is_undeclared(symbol, line):
    """Whether a variable is declared on a line that was not reached yet. By the rules of C, C++ and
    Rust it is not in scope there, though debug info has it in the whole block."""
    if line is None or not symbol.is_variable or symbol.is_argument or symbol.symtab is None:
        return False
    symtab, number, starts = line
    if symtab is None or not number or symtab.fullname() != symbol.symtab.fullname():
        return False
    return symbol.line > number or (starts and symbol.line == number)


def variables(leaves, pc, frame):
    """Gives the paths of the variables, and of those that are not declared yet; what a parameter
    held at the entry is `NAME@entry`, as gdb prints it. The last is what tells each variable from
    others of its function."""
    seen, paths, undeclared, keys = {}, [], [], {}
    blocks = list(scopes(pc))
    frames = frames_of(blocks, frame)
    lines = lines_of(blocks, frames, pc)
    for number, block in blocks:
        frame = frames[number]
        for symbol in block:
            if not (symbol.is_variable or symbol.is_argument or symbol.is_constant):
                continue
            if symbol.type is None or not symbol.name or is_enumerator(symbol):
                continue
            key = "#%d %s" % (number, symbol.name)
            count = seen[key] = seen.get(key, 0) + 1
            path = key if count == 1 else "%s~%d" % (key, count)
            paths.append(path)
            keys[path] = key_of(blocks, number, symbol)
            if is_undeclared(symbol, lines.get(number)):
                undeclared.append(path)
            if symbol.is_argument and number == blocks[-1][0]:
                at_entry = entry_value(symbol, frame)
                if at_entry is not None:
                    leaves.walk(path + "@entry", at_entry)
            try:
                value = symbol.value(frame) if symbol.needs_frame else symbol.value()
                # The variants of an enum are chosen by contents, which must be there.
                value.fetch_lazy()
            except (gdb.error, gdb.MemoryError, RuntimeError) as error:
                leaves.put(path, "missing", str(error))
                continue
            leaves.walk(path, value)
    return paths, undeclared, keys


def stack(leaves, frame):
    index = 0
    while frame is not None and index < leaves.limits["frames"]:
        # The frame of a tail call is gdb's guess; there is none on the stack.
        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            leaves.put("$stack[%d]" % index, "number", str(frame.pc()))
            index += 1
        try:
            frame = frame.older()
        except (gdb.error, gdb.MemoryError):
            return


def stop_at(limits):
    leaves = Leaves(limits)
    frame = gdb.newest_frame()
    for name in REGISTERS:
        number = int(frame.read_register(name)) & 0xFFFFFFFFFFFFFFFF
        leaves.put("$" + name, "number", str(number))
    stack(leaves, frame)
    paths, undeclared, keys = variables(leaves, frame.pc(), frame)
    return {"leaves": leaves.found, "variables": paths, "undeclared": undeclared}, keys


def values(asked, output):
    gdb.execute("attach %d" % asked["pid"])
    gdb.execute("handle all nostop noprint pass", to_string=True)
    points, answers = {}, []
    for point in asked["points"]:
        breakpoint = gdb.Breakpoint("*%d" % point["pc"])
        breakpoint.silent = True
        points[point["pc"]] = (breakpoint, point["hits"])
    moved = Moved(asked["points"], asked["limits"])
    print("ready", flush=True)
    while points:
        try:
            gdb.execute("continue", to_string=True)
            pc = gdb.newest_frame().pc()
        except gdb.error:
            # The process has ended.
            break
        if pc in points:
            breakpoint, hits = points[pc]
            hit = breakpoint.hit_count
            if hit in hits:
                answer, keys = stop_at(asked["limits"])
                answers.append({"pc": pc, "hit": hit, **answer})
                moved.stopped(pc, hit, answer["leaves"], keys)
            if hit >= max(hits):
                breakpoint.delete()
                del points[pc]
                moved.done(pc)
        moved.passes(pc)
    for answer in answers:
        output.write(json.dumps(answer) + "\n")
    if not points:
        gdb.execute("detach", to_string=True)
