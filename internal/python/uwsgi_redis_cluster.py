"""What an instance is among those of the option cluster."""

from uwsgi_redis import RedisError, ask


class Cluster:
    def __init__(self, url):
        self.url = url

    def i_am_the_lord(self, name):
        """Whether this instance has ``name``, which one instance of the cluster has at a time. From the
        first time on that it is asked it tries to have it. False where Redis has been away for
        longer than a name is kept."""
        if not isinstance(name, str):
            raise TypeError("i_am_the_lord() argument 1 must be str, not %s" % type(name).__name__)
        try:
            return ask("lord", self.url, name) == [b"1"]
        except RedisError:
            return False
