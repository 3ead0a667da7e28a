"""gdb's view of a program, as JSON: run by gdb with `request`, the path of a file, defined."""

import json

import gdb
import lines
import stops
import survey

JOBS = {"lines": lines.lines, "survey": survey.survey, "values": stops.values}


def quiet():
    for setting in (
        "pagination off",
        "confirm off",
        "auto-load off",
        "debuginfod enabled off",
        "backtrace past-main on",
        "max-value-size unlimited",
        "print object off",
        "print static-members off",
    ):
        try:
            gdb.execute("set " + setting)
        except gdb.error:
            pass


def main():
    quiet()
    with open(request) as file:
        asked = json.load(file)
    with open(asked["output"], "w") as output:
        JOBS[asked["job"]](asked, output)
        # What goes wrong later, as when the process is killed, is of no interest.
        output.write('"end"\n')


main()
