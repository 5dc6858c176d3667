"""What the loader and its workers write to the server's log."""

import sys
import traceback


ERROR, WARNING = 3, 4  # syslog(3)
marked = False  # boot.Boot.Marked: the supervisor reads the marks


def say(text, severity=None):
    """A line in the server's log; one of ordinary weight without a severity."""
    try:
        sys.stderr.write(("<%d>" % severity if marked and severity is not None else "") + text + "\n")
        sys.stderr.flush()
    except Exception:
        pass


def place(origin):
    """Where a setting was written, in front of what is said of it: "u.ini:4: ", nothing of the command
    line."""
    return "%s:%d: " % (origin["File"], origin["Line"]) if origin["File"] else ""


def placed(settings, name, value):
    """Where an option has that value, as errors name it (option.Settings.Place)."""
    named = "%s = %s" % (name, value)
    return (settings["Places"] or {}).get(named, named)


def formatted(kind, value, tb):
    """An exception as Python prints it."""
    try:
        return "".join(traceback.format_exception(kind, value, tb))
    except Exception:  # a broken __str__ or __repr__ of the application's own
        return "Traceback (most recent call last):\n  (not printable)\n%s\n" % getattr(kind, "__name__", kind)


def report(kind, value, tb):
    """Print an exception in one write, so that neither a log nor a pipe tears it apart."""
    emit(formatted(kind, value, tb))


def emit(text):
    """Print what formatted gave."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except Exception:
        pass


def text_of(exc):
    """str(exc), or nothing where the application's own __str__ fails."""
    try:
        return str(exc)
    except Exception:
        return ""


def reporter(settings, _uwsgi):
    """report for exceptions in a request: with reload-on-exception and its kind the worker asks to
    be replaced, too."""
    names, values, reprs = (set(settings[k] or ()) for k in (
        "ReloadOnExceptionOf", "ReloadOnExceptionValue", "ReloadOnExceptionRepr"))
    if not (settings["ReloadOnException"] or names or values or reprs):
        return report

    def report_and_recycle(kind, value, tb):
        report(kind, value, tb)
        text = text_of(value)
        if (settings["ReloadOnException"] or kind.__name__ in names or text in values
                or "%s: %s" % (kind.__name__, text) in reprs):
            _uwsgi.tell("recycle", "reload-on-exception")

    return report_and_recycle
