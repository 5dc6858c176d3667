"""``python -m uwsgi``. The module that applications import exists only inside the server, where
another file of this name is found first: to import this one is an ImportError, by which code tells
that it is not inside.
"""

if __name__ == "__main__":
    import sys

    import pyuwsgi

    pyuwsgi.run(sys.argv[1:])

raise ImportError("the module uwsgi exists only inside the server: start the application with the program uwsgi "
                  "(or python -m uwsgi)")
