"""Arguments as the functions of uWSGI's module take them, with its words for those they do not."""

from operator import index as whole  # an int, else "'str' object cannot be interpreted as an integer"


def text(function, position, value):
    """A str."""
    if not isinstance(value, str):
        raise TypeError("%s() argument %d must be str, not %s" % (function, position, type(value).__name__))
    if "\0" in value:
        raise ValueError("embedded null character")
    return value
