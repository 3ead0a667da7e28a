"""What variables hold at other addresses than that of a stop, in the same call of the function."""

import gdb
from leaves import Leaves
from scopes import scopes

# Stops at one such address; one that is come to more often is not looked at.
STOPS_MAX = 500


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
    that its value is to be of, and whether that comes later."""

    def __init__(self, points, limits):
        self.limits = limits
        self.asked = {}
        # Addresses that are come to before: the names that are of interest there, the points.
        self.before = {}
        # By such an address and call, what was there last.
        self.last = {}
        # By an address that is come to next and call: where to write what is there.
        self.expected = {}
        self.breakpoints = {}
        for point in points:
            for hit, variables in point["moved"].items():
                self.asked[(point["pc"], int(hit))] = variables
                for variable in variables:
                    if not variable["is_ahead"]:
                        users = self.before.setdefault(variable["pc"], {})
                        names = users.setdefault(point["pc"], set())
                        names.add(variable["path"].split(" ", 1)[1].split("~")[0])
        for pc in self.before:
            self.stop_at(pc)

    def stop_at(self, pc):
        if pc not in self.breakpoints:
            self.breakpoints[pc] = gdb.Breakpoint("*%d" % pc)
            self.breakpoints[pc].silent = True

    def leave(self, pc):
        breakpoint = self.breakpoints.pop(pc, None)
        if breakpoint is not None:
            breakpoint.delete()

    def expects(self):
        return bool(self.expected)

    def stopped(self, pc, hit, leaves, keys):
        """The stop of a point: adds what was there before to its leaves, and remembers what comes."""
        for variable in self.asked.get((pc, hit), ()):
            path, other = variable["path"], variable["pc"]
            if path not in keys:
                continue
            if variable["is_ahead"]:
                wanted = self.expected.setdefault((other, call()), [])
                wanted.append((keys[path], path, leaves))
                self.stop_at(other)
                continue
            value = self.last.get((other, call()), {}).get(keys[path])
            if value is not None:
                self.walk(leaves, path, value, self.limits)

    def walk(self, leaves, path, value, limits):
        found = Leaves(limits)
        found.walk(path + "@moved", value)
        leaves.update(found.found)

    def passes(self, pc):
        """Any stop at an address."""
        if pc not in self.breakpoints:
            return
        here = call()
        expected = self.expected.pop((pc, here), ())
        values = values_here({key for key, _, _ in expected})
        for key, path, leaves in expected:
            # What it points to may have been written to since the hit.
            if key in values:
                self.walk(leaves, path, values[key], {**self.limits, "depth": 0})
        users = self.before.get(pc)
        if users is None:
            if not any(other == pc for other, _ in self.expected):
                self.leave(pc)
            return
        if self.breakpoints[pc].hit_count > STOPS_MAX:
            self.forget(pc)
            return
        names = set().union(*users.values())
        self.last[(pc, here)] = self.named(names)

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
        if not any(other == pc for other, _ in self.expected):
            self.leave(pc)

    def done(self, point):
        """No more hits of a point are of interest."""
        for pc, users in list(self.before.items()):
            users.pop(point, None)
            if not users:
                self.forget(pc)
