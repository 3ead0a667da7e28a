"""The lines with code of the functions around some addresses of a file."""

import json

import gdb
from scopes import functions_at


def entry_of(name):
    """Where the code of a function starts that is not an inlined copy."""
    symbol = gdb.lookup_global_symbol(name) or gdb.lookup_static_symbol(name)
    if symbol is not None and symbol.is_function:
        return int(symbol.value().address)
    for place in gdb.decode_line(name)[1] or ():
        around = functions_at(place.pc)
        if around and around[-1].function.name == name:
            return around[-1].start
    return None


def lines_of(pc):
    """The file and the lines of the own code of the function at `pc`, inlined calls left out."""
    first, by_file = functions_at(pc)[-1], {}
    while True:
        around = functions_at(pc)
        if not around or (around[-1].start, around[-1].end) != (first.start, first.end):
            break
        row = gdb.find_pc_line(pc)
        if row.symtab is not None and row.line and len(around) == 1:
            by_file.setdefault(row.symtab.fullname(), set()).add(row.line)
        pc = max(row.last or 0, pc) + 1
    if not by_file:
        return "", []
    file, found = max(by_file.items(), key=lambda item: len(item[1]))
    return file, [line for line in sorted(found) if is_statement(file, line)]


def is_statement(file, line):
    """Whether a breakpoint can be set on the line: one without a statement gives another one."""
    try:
        places = gdb.decode_line("%s:%d" % (file, line))[1] or ()
    except gdb.error:
        return False
    return any(place.line == line for place in places)


def lines(asked, output):
    gdb.execute("file " + asked["file"], to_string=True)
    for name in asked["functions"]:
        try:
            pc = entry_of(name)
        except (gdb.error, gdb.MemoryError):
            pc = None
        file, found = lines_of(pc) if pc is not None else ("", [])
        # The line of the name is the entry.
        output.write(json.dumps({"file": file, "lines": found[1:]}) + "\n")
