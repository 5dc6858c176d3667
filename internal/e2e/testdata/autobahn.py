"""Runs the cases of Autobahn's test suite (autobahntestsuite of PyPI) against an echo server.

The suite is Python 2 and needs an Autobahn of 2015: its cases are taken as they are, translated by fissix (lib2to3), and driven by a client of our
own with the same attributes and methods. Byte strings of theirs are str here, a character a byte.

usage: autobahn.py HOST:PORT/PATH [--messages N] [CASE ...]    CASE is a prefix: 1 or 9.7
"""

import asyncio
import base64
import importlib
import importlib.util
import os
import struct
import sys
import types
import zlib


def octets(s):
    return s if isinstance(s, bytes) else s.encode("latin-1")


# --- what the cases import ---


class Utf8Validator:
    def reset(self):
        pass

    def validate(self, s):
        """(valid so far, ends between two characters)"""
        s = octets(s)
        try:
            s.decode()
            return True, True
        except UnicodeDecodeError as exc:
            return exc.reason == "unexpected end of data" and exc.end == len(s), False


class PerMessageDeflateOffer:
    acceptNoContextTakeover = acceptMaxWindowBits = True

    def __init__(self, acceptNoContextTakeover=True, acceptMaxWindowBits=True, requestNoContextTakeover=False, requestMaxWindowBits=0):
        self.requestNoContextTakeover, self.requestMaxWindowBits = requestNoContextTakeover, requestMaxWindowBits

    def header(self):
        text = "permessage-deflate; client_no_context_takeover; client_max_window_bits"
        if self.requestNoContextTakeover:
            text += "; server_no_context_takeover"
        if self.requestMaxWindowBits:
            text += "; server_max_window_bits=%d" % self.requestMaxWindowBits
        return text


class WebSocketProtocol:
    STATE_CLOSED, STATE_CONNECTING, STATE_CLOSING, STATE_OPEN = range(4)


class Importer:
    """Translates the suite's modules when they are imported."""

    def __init__(self, folder):
        from fissix.refactor import RefactoringTool, get_fixers_from_package

        self.folder, self.tool = folder, RefactoringTool([f for f in get_fixers_from_package("fissix.fixes") if not f.endswith("fix_import")])

    def find_spec(self, name, path=None, target=None):
        file = os.path.join(self.folder, ("__init__" if name == "suite" else name) + ".py")
        return importlib.util.spec_from_loader(name, self, origin=file) if name.startswith(("suite", "case")) and os.path.exists(file) else None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        with open(module.__spec__.origin, encoding="latin-1") as f:
            text = f.read().replace("(object, Case, )", "(Case, )").replace("from case9_9_1 import *", "")  # which is not among the cases
            text = text.replace("len(self.payload) / self.p", "len(self.payload) // self.p")
        exec(compile(str(self.tool.refactor_string(text + "\n", module.__name__)), module.__spec__.origin, "exec"), module.__dict__)


def load(folder):
    def module(name, **attributes):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__dict__.update(attributes)

    module("autobahn")
    module("autobahn.websocket")
    module("autobahn.websocket.protocol", WebSocketProtocol=WebSocketProtocol)
    module("autobahn.websocket.utf8validator", Utf8Validator=Utf8Validator)
    module("autobahn.websocket.compress", PerMessageDeflateOffer=PerMessageDeflateOffer, PerMessageDeflateOfferAccept=None,
           PerMessageDeflateResponse=None, PerMessageDeflateResponseAccept=None)
    module("pkg_resources", resource_filename=lambda package, path: os.path.join(os.path.dirname(folder), path))
    module("binascii", b2a_hex=lambda s: octets(s).hex(), hexlify=lambda s: octets(s).hex())
    sys.meta_path.insert(0, Importer(folder))
    suite, Case = importlib.import_module("suite"), importlib.import_module("case").Case

    def plain(o):
        if isinstance(o, (list, tuple)):
            return [plain(i) for i in o]
        return o.decode("latin-1") if isinstance(o, bytes) else o

    Case.compare = lambda self, a, b: plain(a) == plain(b)
    return suite.Cases


# --- the client ---


class Client(WebSocketProtocol):
    CLOSE_STATUS_CODE_NORMAL, CLOSE_STATUS_CODE_PROTOCOL_ERROR, CLOSE_STATUS_CODE_INVALID_PAYLOAD = 1000, 1002, 1007
    factory = types.SimpleNamespace(isServer=False)
    trafficStats = perMessageCompressionAccept = _perMessageCompress = None
    MASK = b"\x37\xfa\x21\x3d"

    def __init__(self, kind, messages):
        self.state, self.connectionWasOpen = self.STATE_CONNECTING, False
        self.closedByMe = self.failedByMe = self.droppedByMe = self.wasClean = self.createWirelog = False
        self.remoteCloseCode = self.remoteCloseReason = self.localCloseReason = None
        self.perMessageCompressionOffers, self.autoFragmentSize, self.txFrameStats, self.out = [], 0, {}, []
        self.inflate, self.message, self.kind = None, b"", 0
        self.raw = kind.__name__.startswith(("Case12", "Case13"))
        self.timers, self.wake = [], asyncio.Event()
        self.case = kind(self)
        if messages and hasattr(self.case, "COUNT"):
            self.case.COUNT = min(self.case.COUNT, messages)

    async def run(self, host, port, path):
        self.reader, self.writer = await asyncio.open_connection(host, port, limit=1 << 26)
        offers = "".join("Sec-WebSocket-Extensions: %s\r\n" % o.header() for o in self.perMessageCompressionOffers)
        key = base64.b64encode(os.urandom(16)).decode()
        self.writer.write(("GET /%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n"
                           % (path, host, key, offers)).encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        if not head.startswith("HTTP/1.1 101"):
            raise SystemExit(head)
        for line in head.split("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "sec-websocket-extensions":
                self._perMessageCompress = {p.strip().partition("=")[0]: p.strip().partition("=")[2] for p in value.split(";")}
        if self._perMessageCompress is not None:
            assert "client_no_context_takeover" in self._perMessageCompress and "server_no_context_takeover" in self._perMessageCompress, head
        self.state, self.connectionWasOpen = self.STATE_OPEN, True
        self.case.onOpen()
        pump = asyncio.ensure_future(self.pump())
        try:
            while True:
                first, second = await self.reader.readexactly(2)
                n = second & 127
                if n == 126:
                    n, = struct.unpack("!H", await self.reader.readexactly(2))
                elif n == 127:
                    n, = struct.unpack("!Q", await self.reader.readexactly(8))
                assert second & 128 == 0, "the server masks"
                self.frame(first, await self.reader.readexactly(n))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        self.state = self.STATE_CLOSED
        pump.cancel()
        for timer in self.timers:
            timer.cancel()
        self.writer.transport.abort()
        self.case.onConnectionLost(self.failedByMe)

    def frame(self, first, payload):
        op, text = first & 15, payload.decode("latin-1")
        if op == 8:
            if len(payload) >= 2:
                self.remoteCloseCode, self.remoteCloseReason = struct.unpack("!H", payload[:2])[0], payload[2:].decode()
            if self.state == self.STATE_OPEN:
                self.send(0x88, payload[:2])
            self.wasClean, self.state = True, self.STATE_CLOSING
            self.later(1, self.drop)
        elif op == 9:
            self.case.onPing(text)
            self.send(0x8A, payload)
        elif op == 10:
            self.case.onPong(text)
        else:
            if op:
                self.kind, self.message, self.packed = op, b"", first & 0x40
            self.message += payload
            if first & 0x80:
                if self.packed:
                    bits = int(self._perMessageCompress.get("server_max_window_bits") or 15)
                    self.message = zlib.decompressobj(-max(bits, 9)).decompress(self.message + b"\x00\x00\xff\xff")
                if self.kind == 1:
                    self.message.decode()
                if self.state == self.STATE_OPEN:
                    self.case.onMessage(self.message if self.raw else self.message.decode("latin-1"), self.kind == 2)

    async def pump(self):
        while True:
            await self.wake.wait()
            self.wake.clear()
            while self.out:
                self.writer.write(self.out.pop(0))
                await self.writer.drain()

    def drop(self):
        self.droppedByMe = True
        self.writer.transport.abort()

    def later(self, delay, f, *args):
        self.timers.append(asyncio.get_running_loop().call_later(delay, f, *args))

    def length(self, n):
        return bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack("!H", n) if n < 65536 else b"\xff" + struct.pack("!Q", n)

    def send(self, first, payload, chop=None):
        payload, n = octets(payload), len(payload)
        mask = (self.MASK * (n // 4 + 1))[:n]
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(n, "big")
        data = bytes([first]) + self.length(n) + self.MASK + masked
        self.txFrameStats[first & 15] = self.txFrameStats.get(first & 15, 0) + 1
        step = chop or len(data)
        self.out += [data[i:i + step] for i in range(0, len(data), step)]
        self.wake.set()

    # What the cases call.

    def enableWirelog(self, on):
        pass

    def sendFrame(self, opcode, payload="", fin=True, rsv=0, mask=None, payload_len=None, chopsize=None, sync=False):
        payload = octets(payload)
        if payload_len is not None:
            payload = (payload * (payload_len // len(payload) + 1))[:payload_len]
        self.send(fin << 7 | rsv << 4 | opcode, payload, chopsize)

    def sendMessage(self, payload, isBinary=False, fragmentSize=None):
        payload, first = octets(payload), 2 if isBinary else 1
        if self._perMessageCompress is not None:
            packer = zlib.compressobj(wbits=-15)
            payload, first = (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4], first | 0x40
        step = fragmentSize or self.autoFragmentSize or max(len(payload), 1)
        for i in range(0, max(len(payload), 1), step):
            self.send(first | (0x80 if i + step >= len(payload) else 0), payload[i:i + step])
            first = 0

    def beginMessage(self, isBinary=False):
        self.opening = 2 if isBinary else 1

    def beginMessageFrame(self, length):
        self.out.append(bytes([self.opening]) + self.length(length) + self.MASK)
        self.at, self.opening = 0, 0

    def sendMessageFrameData(self, payload, sync=False):
        self.out.append(bytes(b ^ self.MASK[(self.at + i) % 4] for i, b in enumerate(octets(payload))))
        self.at += len(payload)
        self.wake.set()

    def endMessage(self):
        self.send(0x80, b"")

    def sendClose(self, code=None, reason=None):
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code, reason.encode() if reason else None)

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        self.state, self.closedByMe = self.STATE_CLOSING, True
        self.send(0x88, (struct.pack("!H", code) if code is not None else b"") + octets(reasonUtf8 or b""))

    def continueLater(self, delay, f, tag=None):
        self.later(delay, lambda: self.state != self.STATE_CLOSED and f())

    def killAfter(self, delay):
        self.later(delay, self.kill)

    def kill(self):
        if self.state != self.STATE_CLOSED:
            self.failedByMe = True
            self.drop()

    def closeAfter(self, delay):
        self.later(delay, self.sendClose)


async def main(target, messages, wanted):
    address, _, path = target.partition("/")
    host, _, port = address.rpartition(":")
    folder = os.path.join(next(p for p in sys.path if os.path.isdir(os.path.join(p, "autobahntestsuite"))), "autobahntestsuite", "case")
    faults, counts = 0, {}
    cases = load(folder)
    for kind in cases:
        name = kind.__name__[4:].replace("_", ".")
        if wanted and not any((name + ".").startswith(w + ".") for w in wanted):
            continue
        client = Client(kind, messages)
        await asyncio.wait_for(client.run(host, int(port), path), 600)
        case = client.case
        verdict = case.behavior if case.behaviorClose in ("OK", "INFORMATIONAL", case.behavior) else "%s, close: %s" % (case.behavior, case.behaviorClose)
        counts[verdict] = counts.get(verdict, 0) + 1
        if verdict not in ("OK", "INFORMATIONAL"):
            faults += 1
            print("%s: %s: %s; %s; received %.200r" % (name, verdict, case.result, case.resultClose, case.received))
    print(len(cases), "cases:", counts)
    return faults


if __name__ == "__main__":
    args = sys.argv[1:]
    messages = 0
    if "--messages" in args:
        at = args.index("--messages")
        messages = int(args[at + 1])
        del args[at:at + 2]
    sys.exit(min(asyncio.run(main(args[0], messages, args[1:])), 1))
