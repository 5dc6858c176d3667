"""Rooms, broadcasts, answers and background tasks of Flask-SocketIO; MODE is its async_mode."""

import os
import sys

sys.modules["geventwebsocket"] = None  # with its server's environ only: without it, engineio uses simple-websocket
from flask import Flask, request
from flask_socketio import SocketIO, emit, join_room, leave_room

application = Flask(__name__)
io = SocketIO(application, async_mode=os.environ["MODE"], cors_allowed_origins="*")
gone = []


@io.on("enter")
def enter(room):
    join_room(room)
    return "in " + room


@io.on("leave")
def leave(room):
    leave_room(room)
    return "out of " + room


@io.on("say")
def say(room, text):
    emit("said", text, to=room)


@io.on("shout")
def shout(text):
    emit("shouted", text, broadcast=True)


@io.on("echo")
def echo(data):
    return data


@io.on("count")
def count(to):
    io.start_background_task(counting, request.sid, to)


def counting(sid, to):
    for i in range(to):
        io.sleep(0.01)
        io.emit("counted", i, to=sid)


@io.on("disconnect")
def disconnect(reason):
    gone.append(request.sid)


@application.get("/news")
def news():
    io.emit("news", request.args["text"])
    return "told"


@application.get("/gone")
def who():
    return gone
