"""The memory that all processes of the instance share: mapped here, in the loader, whose workers,
mules and spoolers are forked with it. What works in it is C (cmd/uwsgi-shared)."""

import importlib.util
import os

import uwsgi_cache
import uwsgi_unfit
from uwsgi_report import place

# The functions of a kind, which are C's as they are.
FUNCTIONS = {
    "queue": ["queue_" + name for name in ("push", "pop", "pull", "get", "set", "last", "slot", "pull_slot")],
    "sharedarea": ["sharedarea_" + name for name in ("read", "write", "read8", "write8", "readbyte", "writebyte",
        "read16", "write16", "read32", "write32", "read64", "write64", "readlong", "writelong", "inc32", "dec32",
        "inc64", "dec64", "inclong", "rlock", "wlock", "unlock", "memoryview", "object")],
    "metrics": ["metric_" + name for name in ("get", "set", "inc", "dec", "mul", "div", "set_max", "set_min")],
}


def library(libdir):
    spec = importlib.util.spec_from_file_location("_uwsgi_shared", uwsgi_unfit.library("_uwsgi_shared", libdir))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def content(area, settings):
    """The file that an area's bytes are in, open, or None."""
    if area["Kind"] != "sharedarea":
        return None
    wanted = ((settings["SharedArea"] or []) + (settings["PySharedArea"] or []))[int(area["Name"])]
    if not wanted["File"]:
        return None
    option = "%s%s = %s: " % (place(wanted["Origin"]), wanted["Option"], wanted["Text"])
    try:
        file = open(wanted["File"], "r+b", 0)
    except OSError as exc:
        raise ValueError("%s%s: %s" % (option, wanted["File"], exc.strerror)) from exc
    size = os.fstat(file.fileno()).st_size
    if size < wanted["Size"]:
        file.close()
        raise ValueError("%s%s has %d bytes, and %d are asked for" % (option, wanted["File"], size, wanted["Size"]))
    return file


def functions(boot):
    """The functions of the uwsgi module that work in shared memory, by name, and those of caches."""
    found = {}
    if boot["Areas"]:
        shared = library(boot["LibDir"])
        for area in boot["Areas"]:
            file = content(area, boot["Settings"])
            getattr(shared, area["Kind"] + "_open")(area["Name"], area["FD"], *([file.fileno()] if file else []))
            os.close(area["FD"])
            if file:
                file.close()
        kinds = {area["Kind"] for area in boot["Areas"]}
        for kind in kinds & set(FUNCTIONS):
            found.update((name, getattr(shared, name)) for name in FUNCTIONS[kind])
        if "queue" in kinds:
            found["queue_size"] = boot["Settings"]["Queue"]
        if "cache" in kinds:
            found.update(uwsgi_cache.functions(shared))
    uwsgi_cache.complete(found, boot["Settings"])
    return found
