"""Sends and takes messages of mules in processes that die by SIGKILL. The argument is the queues and
hands that they inherit, JSON of a boot document. A line of standard input is one process: [what,
mule, step, messages], JSON. It dies before that step of its own (0: it does not) and is answered by {"killed": whether it did, "out": what it wrote, a message or word a line}.

What: send (the messages to any mule, and True for each), take (all that there is, as that mule), die
(once it has taken a message)."""

import json
import os
import signal
import sys
import traceback
import types

import uwsgi
import uwsgi_mule

boot = json.loads(sys.argv[1])
boot.update(HandoffFD=0, HandoffInFD=0, RequestLog={"FD": 0}, Listeners=None)
mules = uwsgi_mule.Mules(boot)
STEPS = "pwrite", "recvmsg", "sendmsg", "fcntl", "ftruncate"


def die_before(deadly):
    steps = 0

    def called(frame, event, function):
        nonlocal steps
        if event == "c_call" and function.__name__ in STEPS:
            steps += 1
            if steps == deadly:
                os.kill(os.getpid(), signal.SIGKILL)

    return called


def run(what, number, deadly, messages):
    nothing = types.SimpleNamespace(close=lambda: None)
    parent = types.SimpleNamespace(boot=boot, settings=boot["Settings"], loaded=None, sigchld=None, wake=(),
        wire=types.SimpleNamespace(sock=nothing), mules=mules)
    mules.renew()
    if deadly:
        sys.setprofile(die_before(deadly))
    if what == "send":
        for message in messages:
            print(mules.send(message.encode(), mules.queue_of(0)), flush=True)
        return
    mule = uwsgi_mule.Mule(parent, {"slot": number}, [os.open(os.devnull, os.O_WRONLY)])
    while True:
        message = mule.get(mule.own + mule.farms, 0)
        if message is None:
            return
        print(message.decode().strip("."), flush=True)
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)


for text in sys.stdin:
    output = os.memfd_create("output", os.MFD_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(output, 1)
            os.dup2(output, 2)
            run(*json.loads(text))
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    with open(output, "rb") as file:
        file.seek(0)
        out = file.read().decode()
    print(json.dumps({"killed": os.WIFSIGNALED(status), "out": out.splitlines()}), flush=True)
