"""Random places in the code of a program, and which of them its work comes to."""

import json
import re

import gdb
from scopes import functions_at, scopes


def text_section():
    """The first and the last address of the program's own code."""
    for line in gdb.execute("info files", to_string=True).splitlines():
        found = re.match(r"\s*(0x\w+) - (0x\w+) is \.text$", line)
        if found:
            return int(found[1], 16), int(found[2], 16)
    raise gdb.error("no .text")


def entry(pc):
    """The entry of the function around a pc."""
    function = functions_at(pc)[-1].function
    return int(function.value().address), function.name


def line(pc):
    """The start of a row of the line table that is the function's own, past its entry."""
    around = functions_at(pc)
    row = gdb.find_pc_line(pc)
    if len(around) > 1 or row.symtab is None or not row.line or row.pc <= around[0].start:
        return None
    return row.pc, "%s:%d" % (row.symtab.fullname(), row.line)


def inlined(pc):
    """The start of an inlined call, or of a row of the line table in it."""
    around = functions_at(pc)
    if len(around) < 2:
        return None
    start = around[0].start
    row = gdb.find_pc_line(pc).pc
    # Either is as good; the address says which.
    chosen = start if pc % 2 or len(functions_at(row)) < 2 else row
    return chosen, "*%#x" % chosen


KINDS = {"entry": entry, "line": line, "inlined": inlined}


def candidates(asked):
    start, end = text_section()
    found = {}
    for kind, share in asked["shares"]:
        pc = start + int((end - start) * share)
        # A block without a symbol table is not the program's.
        if not functions_at(pc):
            continue
        place = KINDS[kind](pc)
        if place is not None and place[0] not in found:
            found[place[0]] = (kind, place[1])
    return found


def survey(asked, output):
    gdb.execute("attach %d" % asked["pid"])
    gdb.execute("handle all nostop noprint pass", to_string=True)
    # Each stop would take all of them out and put them in again.
    gdb.execute("set breakpoint always-inserted on")
    places = candidates(asked)
    breakpoints = {}
    for pc in places:
        breakpoints[pc] = gdb.Breakpoint("*%d" % pc)
        breakpoints[pc].silent = True
    hits = dict.fromkeys(places, 0)
    print("ready", flush=True)
    while breakpoints:
        try:
            gdb.execute("continue", to_string=True)
            pc = gdb.newest_frame().pc()
        except gdb.error:
            # The process has ended.
            break
        if pc not in breakpoints:
            continue
        hits[pc] += 1
        if hits[pc] >= asked["hits"]:
            breakpoints.pop(pc).delete()
    for pc, (kind, location) in places.items():
        if hits[pc]:
            answer = {"kind": kind, "pc": pc, "location": location, "hits": hits[pc]}
            output.write(json.dumps(answer) + "\n")
    if breakpoints:
        return
    gdb.execute("detach", to_string=True)
