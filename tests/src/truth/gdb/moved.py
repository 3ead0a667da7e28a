"""What variables hold at other addresses than that of a stop, in the same call of the function."""

import gdb
from leaves import Leaves
from scopes import scopes

# Stops at one such address; one that is come to more often is not looked at.
STOPS_MAX = 500
# What differs from every value: a text, as `Leaves` writes it.
NEVER_THERE = "it was never there".encode().hex()


def key_of(blocks, number, symbol):
    """What tells a variable from others of its function, wherever in it the pc is."""
    return (blocks[-1][0] - number, symbol.name, symbol.line)


def call():
    """What tells the call that is executed now from others: where its frame begins."""
    frame = gdb.newest_frame()
    while frame.type() == gdb.INLINE_FRAME:
        frame = frame.older()
    older = frame.older()
    return (gdb.selected_thread().num, int(older.read_register("rsp")) if older else 0)


def values_here(wanted):
    """The values of the wanted variables, by their keys."""
    found = {}
    frame = gdb.newest_frame()
    blocks = list(scopes(frame.pc()))
    frames = [frame]
    while frames[-1].type() == gdb.INLINE_FRAME:
        frames.append(frames[-1].older())
    hidden = blocks[-1][0] + 1 - len(frames)
    for number, block in blocks:
        for symbol in block:
            key = key_of(blocks, number, symbol)
            if key not in wanted or key in found:
                continue
            try:
                value = symbol.value(frames[max(number - hidden, 0)])
                value.fetch_lazy()
            except (gdb.error, gdb.MemoryError, RuntimeError):
                continue
            if not value.is_optimized_out:
                found[key] = value
    return found


class Moved:
    """What is asked for of the stops: for each hit of a point some variables, each with the address
    that its value is to be of."""

    def __init__(self, points, limits):
        self.limits = limits
        self.asked = {}
        # Addresses that are come to before: the names that are of interest there, the points.
        self.before = {}
        # By such an address and call, what was there last.
        self.last = {}
        self.breakpoints = {}
        for point in points:
            for hit, variables in point["moved"].items():
                self.asked[(point["pc"], int(hit))] = variables
                for variable in variables:
                    users = self.before.setdefault(variable["pc"], {})
                    names = users.setdefault(point["pc"], set())
                    names.add(variable["path"].split(" ", 1)[1].split("~")[0])
        for pc in self.before:
            self.breakpoints[pc] = gdb.Breakpoint("*%d" % pc)
            self.breakpoints[pc].silent = True

    def stopped(self, pc, hit, leaves, keys):
        """The stop of a point: adds what was there before to its leaves. A call that never came there,
        or had no such variable there, differs from whatever is said that it was."""
        for variable in self.asked.get((pc, hit), ()):
            path, other = variable["path"], variable["pc"]
            if path not in keys:
                continue
            value = self.last.get((other, call()), {}).get(keys[path])
            if value is not None:
                self.walk(leaves, path, value)
            elif other in self.before:
                leaves[path + "@moved"] = ["text", NEVER_THERE]

    def walk(self, leaves, path, value):
        found = Leaves(self.limits)
        found.walk(path + "@moved", value)
        leaves.update(found.found)

    def passes(self, pc):
        """Any stop at an address."""
        users = self.before.get(pc)
        if users is None:
            return
        if self.breakpoints[pc].hit_count > STOPS_MAX:
            self.forget(pc)
            return
        names = set().union(*users.values())
        self.last[(pc, call())] = self.named(names)

    def named(self, names):
        blocks = list(scopes(gdb.newest_frame().pc()))
        keys = {
            key_of(blocks, number, symbol)
            for number, block in blocks
            for symbol in block
            if symbol.name in names
        }
        return values_here(keys)

    def forget(self, pc):
        self.before.pop(pc, None)
        self.last = {key: values for key, values in self.last.items() if key[0] != pc}
        breakpoint = self.breakpoints.pop(pc, None)
        if breakpoint is not None:
            breakpoint.delete()

    def done(self, point):
        """No more hits of a point are of interest."""
        for pc, users in list(self.before.items()):
            users.pop(point, None)
            if not users:
                self.forget(pc)
