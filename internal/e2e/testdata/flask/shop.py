from flask import Flask, Response, jsonify, request, session

app = Flask(__name__)
app.secret_key = "not a secret"


@app.route("/")
def index():
    return "Hello from Flask\n"


@app.route("/items/<int:number>", methods=["GET", "POST"])
def item(number):
    return jsonify(number=number, form=request.form, args=request.args, json=request.get_json(silent=True))


@app.route("/visits")
def visits():
    session["n"] = session.get("n", 0) + 1
    return str(session["n"])


@app.route("/stream")
def stream():
    return Response(("part %d\n" % i for i in range(3)), mimetype="text/plain")


@app.route("/fail")
def fail():
    raise RuntimeError("the view failed")
