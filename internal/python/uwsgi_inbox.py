"""uWSGI's signals that a process beside the workers was sent and has not handled yet."""

import uwsgi


class Inbox:
    """``take()`` gives the number of the next one, None where there is none, ``wait()`` returns when
    there may be one, ``leaving()`` says whether the process shall end."""

    def __init__(self, take, wait, leaving):
        self.take, self.wait, self.leaving = take, wait, leaving
        self.handling = False  # a handler runs, which is finished first

    def run(self):
        """Run the handlers of what is there."""
        while True:
            number = self.take()
            if number is None:
                return
            self.handle(number)
            self.leave()

    def wait_for(self, number):
        """Run handlers until one has run, of that number where it is one: which."""
        while True:
            self.leave()
            taken = self.take()
            if taken is None:
                self.wait()
                continue
            self.handle(taken, True)
            self.leave()
            if number in (None, taken):
                return taken

    def handle(self, number, awaited=False):
        before, self.handling = self.handling, True
        try:
            uwsgi._use_timers().deliver(number, awaited)
        finally:
            self.handling = before

    def leave(self):
        if self.leaving():
            raise SystemExit(0)
