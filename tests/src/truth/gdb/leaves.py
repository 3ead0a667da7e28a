"""The leaves of a value as gdb sees it, breadth first.

A path is `#FRAME NAME` (frame 0 is the innermost inlined call), then `.member`, `[index]` and `.*`
for what a pointer points to.
"""

import re
import struct

import gdb

INTEGERS = (
    gdb.TYPE_CODE_INT,
    gdb.TYPE_CODE_CHAR,
    gdb.TYPE_CODE_BOOL,
    gdb.TYPE_CODE_ENUM,
    gdb.TYPE_CODE_RANGE,
    gdb.TYPE_CODE_FLAGS,
)


def is_char(kind):
    return kind.code in INTEGERS and kind.sizeof == 1 and kind.name == "char"


def is_beyond(value):
    """Whether a value lies behind the last piece that is known of the whole: gdb has zeros there,
    which it does not show."""
    return value.address is None and value.format_string(raw=True) == "<synthetic pointer>"


def variant_name(value, kind, discriminant, variants):
    """The variant of an enum of Rust; `None` where it is not known. Of a value in pieces gdb has
    all variants, and prints the first one where the discriminant is optimized out."""
    if value.address is not None:
        return variants[0].name if variants else None
    if value[discriminant].is_optimized_out:
        return None
    text, start = value.format_string(raw=True), kind.name + "::"
    return re.match(r"\w+", text[len(start) :])[0] if text.startswith(start) else None


class Leaves:
    """The leaves of the variables at one stop, breadth first."""

    def __init__(self, limits):
        self.limits = limits
        self.found = {}
        self.queue = []

    def put(self, path, kind, content):
        self.found[path] = [kind, content]

    def walk(self, path, value):
        self.queue.append((path, value, 0))
        while self.queue:
            path, value, depth = self.queue.pop(0)
            if len(self.found) >= self.limits["leaves"]:
                self.put("$full", "missing", "too many leaves")
                return
            try:
                self.value(path, value, depth)
            except gdb.MemoryError as error:
                self.put(path, "missing", "memory: %s" % error)
            except (gdb.error, RuntimeError, NotImplementedError) as error:
                self.put(path, "missing", str(error))

    def value(self, path, value, depth):
        kind = value.type.strip_typedefs().unqualified()
        code = kind.code
        if code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
            return self.record(path, value, kind, depth)
        if code == gdb.TYPE_CODE_ARRAY:
            return self.array(path, value, kind, depth)
        if code in (gdb.TYPE_CODE_FUNC, gdb.TYPE_CODE_METHOD):
            return self.put(path, "number", str(int(value.address)))
        if code == gdb.TYPE_CODE_VOID:
            return None
        if value.is_optimized_out or is_beyond(value):
            return self.put(path, "missing", "optimized out")
        if code in (gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
            return self.pointer(path, value, kind, depth)
        if code in INTEGERS:
            return self.put(path, "number", str(integer(value, kind)))
        if code == gdb.TYPE_CODE_FLT:
            return self.float(path, value, kind)
        return self.put(path, "missing", "type code %d" % code)

    def float(self, path, value, kind):
        if kind.sizeof in (4, 8):
            bits = struct.unpack("<Q", struct.pack("<d", float(value)))[0]
            return self.put(path, "double", "%016x" % bits)
        return self.put(path, "decimal", str(value))

    def record(self, path, value, kind, depth):
        fields = [field for field in kind.fields() if hasattr(field, "bitpos")]
        if not fields and kind.sizeof <= 1:
            # A type that is declared only has no size of its own.
            return self.put(path, "missing", "incomplete") if kind.sizeof else None
        names = [field.name for field in fields]
        if names in (["data_ptr", "length"], ["length", "data_ptr"]):
            return self.slice(path, value, kind, depth)
        if fields and fields[0].artificial and not fields[0].name:
            # An enum of Rust: its discriminant, then the variant that it selects.
            discriminant, *fields = fields
            name = variant_name(value, kind, discriminant, fields)
            if name is None:
                return self.put(path, "missing", "optimized out")
            self.put(path + ".$variant", "text", name.encode().hex())
            fields = [field for field in fields if field.name == name]
        for field in fields:
            inner = path if field.is_base_class or not field.name else path + "." + field.name
            self.queue.append((inner, value[field], depth))

    def array(self, path, value, kind, depth):
        low, high = kind.range()
        length = high - low + 1
        # gdb takes a flexible array for one of one element.
        if length <= 0 or kind.sizeof == 0:
            return None
        element = kind.target().strip_typedefs().unqualified()
        if is_char(element):
            most = min(length, self.limits["text"])
            if value.is_optimized_out:
                return self.put(path, "missing", "optimized out")
            data = bytes(int(value[low + i]) & 0xFF for i in range(most))
            return self.put(path + ".$text", "text", data.split(b"\0")[0].hex())
        self.put(path + ".$length", "number", str(length))
        for index in range(min(length, self.limits["items"])):
            self.queue.append(("%s[%d]" % (path, index), value[low + index], depth))

    def pointer(self, path, value, kind, depth):
        is_pointer = kind.code == gdb.TYPE_CODE_PTR
        address = int(value if is_pointer else value.referenced_value().address)
        address &= 0xFFFFFFFFFFFFFFFF
        self.put(path, "number", str(address))
        target = kind.target().strip_typedefs().unqualified()
        if address == 0 or target.code in (gdb.TYPE_CODE_VOID, gdb.TYPE_CODE_FUNC):
            return
        if depth >= self.limits["depth"]:
            return
        if is_char(target):
            self.text(path + ".$text", address, self.limits["text"], True)
        else:
            self.queue.append((path + ".*", value.referenced_value(), depth + 1))

    def text(self, path, address, most, ends_at_zero):
        data = b""
        while len(data) < most and not (ends_at_zero and b"\0" in data):
            length = min(most - len(data), 4096 - (address + len(data)) % 4096)
            try:
                data += bytes(gdb.selected_inferior().read_memory(address + len(data), length))
            except gdb.MemoryError as error:
                if not data:
                    return self.put(path, "missing", "memory: %s" % error)
                break
        if ends_at_zero:
            data = data.split(b"\0")[0]
        return self.put(path, "text", data.hex())

    def slice(self, path, value, kind, depth):
        """A fat pointer of Rust."""
        pointer, length = value["data_ptr"], value["length"]
        if pointer.is_optimized_out or length.is_optimized_out:
            return self.put(path, "missing", "optimized out")
        address, length = int(pointer) & 0xFFFFFFFFFFFFFFFF, int(length)
        self.put(path, "number", str(address))
        if depth >= self.limits["depth"]:
            return None
        if kind.name in ("&str", "&mut str", "*const str", "*mut str"):
            return self.text(path + ".$text", address, min(length, self.limits["text"]), False)
        self.put(path + ".*.$length", "number", str(length))
        if length:
            for index in range(min(length, self.limits["items"])):
                element = (pointer + index).referenced_value()
                self.queue.append(("%s.*[%d]" % (path, index), element, depth + 1))


def integer(value, kind):
    if kind.sizeof <= 8:
        return int(value)
    number = int(value.format_string(format="x"), 16)
    # As the other side has it: what does not fit into 128 bits with a sign wraps around.
    sign = 1 << (kind.sizeof * 8 - 1)
    return number - 2 * sign if number & sign else number
