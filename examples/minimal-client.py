#!/usr/bin/env python3
"""A GoChat client without libraries: JSON over WebSocket, by the rules of docs/protocol.md.

    minimal-client.py API IPCONF NAME PASSWORD ROOM DEVICE

Joins the room, sends each line of its input, prints what others say, edit and retract. When connections break it loses and
repeats nothing.
It does not speak TLS. Between its runs the server keeps its cursors, under DEVICE.
"""
import base64, json, os, random, select, socket, sys, time, urllib.request

API, IPCONF, NAME, PASSWORD, ROOM, DEVICE = sys.argv[1:]
TIMEOUT_S = 10  # For connecting, and for each answer.
token = user = room = None
cursors = {}  # By conversation: the highest seq up to which everything is here.
shown = {}  # By conversation and seq, of the latest messages: sender and version.
outbox = {}  # By client_msg_id, oldest first: messages without an answer.
prefix, count, ref, rest, is_open = os.urandom(8).hex(), 0, 0, b"", True

class Closed(OSError):
    def __init__(self, code="", reason="the connection broke", retryable=True, retry_after_ms=0, **_):
        super().__init__(reason)
        self.code, self.retryable, self.wait_s = code, retryable, retry_after_ms / 1000

def http(url, body=None):
    request = urllib.request.Request(url, body and json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return json.load(answer)

def take(key, entry):
    """Takes in the next entry of a conversation: prints a message, or folds a change into those that were printed."""
    seq, kind, name = int(entry["seq"]), entry.get("kind"), entry.get("from")
    cursors[key] = seq
    if kind == "ENTRY_KIND_MESSAGE":
        shown[key, seq] = [entry["sender"], max(seq, int(entry["version"]))]
        if len(shown) > 1000:
            del shown[next(iter(shown))]
        if "retraction" not in entry and not entry["client_msg_id"].startswith(prefix):
            print(f"{name}: {entry['text']}", flush=True)
    elif kind == "ENTRY_KIND_EDIT" and entry["text"]:  # Without a text: its message was retracted since.
        change(key, seq, entry["target"], max(seq, int(entry["version"])), f"{name} (edited): {entry['text']}")
    elif kind == "ENTRY_KIND_RETRACT":
        change(key, seq, entry["target"], seq, f"{name} (retracted a message)")
        for at, (sender, _) in [(at, of) for (of_key, at), of in shown.items() if "range" in entry and of_key == key]:
            if sender == entry["range"]["sender"] and int(entry["range"]["from_seq"]) <= at <= int(entry["range"]["to_seq"]):
                change(key, seq, at, seq, f"{name} (retracted a message)")

def change(key, seq, target, version, line):
    """Changes a message if the entry is newer than its last change."""
    message = shown.get((key, int(target)))
    if message and seq > message[1]:
        message[1] = version
        print(line, flush=True)

def log_in():
    global token, user
    login = http(f"{API}/auth/login", {"name": NAME, "password": PASSWORD})
    token, user = login["token"], login["user"]["id"]

class Connection:
    is_live, heartbeat_s, told, after, renew_at = False, 10, {}, 0, float("inf")

    def __init__(self):
        if token is None:
            log_in()
        answer = http(f"{IPCONF}/ip/list?uid={user}&transport=ws")
        host, port = next((one["ip"], one["ws_port"]) for one in answer["data"] if one["ws_port"] and not one.get("tls"))
        self.socket, self.buffer, key = socket.create_connection((host, port), TIMEOUT_S), b"", base64.b64encode(os.urandom(16))
        self.socket.sendall(f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                            f"Sec-WebSocket-Key: {key.decode()}\r\nSec-WebSocket-Protocol: gochat.v2.json\r\n\r\n".encode())
        while b"\r\n\r\n" not in self.buffer:
            self.read()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        if head.split()[1] != b"101":
            raise Closed()
        self.send("HELLO", version_min=2, version_max=2, token=token, device=DEVICE, room=ROOM, ticket=answer.get("ticket"))

    def read(self):
        data = self.socket.recv(65536)
        if not data:
            raise Closed()
        self.buffer, self.heard = self.buffer + data, time.monotonic()

    def send(self, type, **fields):
        text, mask, self.sent = json.dumps({"type": type, **fields}).encode(), os.urandom(4), time.monotonic()
        size = len(text)
        head = bytes([128 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big") if size < 65536 else b"\xff" + size.to_bytes(8, "big")
        self.socket.sendall(b"\x81" + head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(text)))

    def frames(self):
        """Takes the frames out of the buffer: each is a WebSocket message in one piece."""
        while len(self.buffer) > 1:
            at = {126: 4, 127: 10}.get(self.buffer[1], 2)
            size = self.buffer[1] if at == 2 else int.from_bytes(self.buffer[2:at], "big")
            if len(self.buffer) < at or len(self.buffer) < at + size:
                return
            opcode, text, self.buffer = self.buffer[0] & 15, self.buffer[at:at + size], self.buffer[at + size:]
            if opcode == 8:
                raise Closed()
            yield json.loads(text)

    def ask(self, type, **fields):
        global ref
        ref = ref % 65535 + 1
        self.send(type, ref=ref, **fields)
        return ref, time.monotonic() + TIMEOUT_S

    def sync(self):
        """Asks for what is missing, for 1000 conversations at a time: those with after < id <= until."""
        rest = sorted(int(key) for key in cursors if int(key) > self.after)
        known = [{"conversation": str(key), "seq": str(cursors[str(key)])} for key in rest[:1000]]
        self.is_behind, self.until = False, rest[999] if len(rest) > 1000 else 0
        self.syncing = self.ask("REQUEST", sync={"cursors": known, "after": str(self.after), "until": str(self.until)})

    def transmit(self, id):
        outbox[id]["asked"] = self.ask("SEND", key=room, client_msg_id=id, text=outbox[id]["text"])

    def renew(self, frame):
        """Half of the token's time is left when the next one is brought."""
        now = time.monotonic()
        self.renew_at = now + max(1, int(frame["token_expires_at_ms"]) / 1000 - self.clock_s - now) / 2

    def recover(self):
        self.after = 0
        self.sync()
        for id in outbox:
            self.transmit(id)

    def on_frame(self, type, **frame):
        global room
        key, id = frame.get("key"), frame.get("client_msg_id")
        if type == "WELCOME":
            self.is_live, self.heartbeat_s, room = True, frame["heartbeat_interval_ms"] / 1000, frame["conversation"]["id"]
            self.clock_s = int(frame["server_time_ms"]) / 1000 - time.monotonic()
            self.renew(frame)
            self.recover()
        elif type == "AUTHED":
            self.renew(frame)
        elif type == "RESYNC":
            self.send("RESYNCED", ref=frame["ref"])
            self.recover()
        elif type in ("MESSAGE", "SENT"):
            outbox.pop(id if type == "SENT" else None, None)
            if int(frame["seq"]) == cursors.get(key, -1) + 1:
                take(key, frame)
            elif int(frame["seq"]) > cursors.get(key, -1):
                self.is_behind = True  # The log has this one and what is missing before it.
        elif type == "RESPONSE" and self.syncing and frame["ref"] == self.syncing[0]:
            for part in frame["sync"]["conversations"]:
                key = part["conversation"]["id"]
                if int(part["after_seq"]) > cursors.get(key, 0):  # What lies between was skipped, and what is older may have changed.
                    cursors[key] = int(part["after_seq"])
                    for old in [old for old in shown if old[0] == key]:
                        del shown[old]
                for message in part["messages"]:
                    if int(message["seq"]) > cursors.get(key, 0):
                        take(key, message)
                cursors.setdefault(key, int(part["conversation"]["last_seq"]))
            for gone in frame["sync"]["gone"]:
                cursors.pop(gone["conversation"], None)
            if not frame["sync"]["more"]:
                self.after = self.until
            self.syncing, self.is_behind = None, self.is_behind or frame["sync"]["more"] or self.until > 0
        elif type == "NACK" and frame["code"] != "RESYNC_REQUIRED":
            if frame["retryable"]:
                raise Closed(**frame)  # After the wait and a new WELCOME all is sent again, in its order.
            if id in outbox:
                print("not sent:", outbox.pop(id)["text"], frame["message"], file=sys.stderr)
        elif type == "MEMBERS_CHANGED" and frame["user"] == user:
            self.is_behind = True
        elif type == "CLOSE":
            raise Closed(**frame)

    def turn(self):
        """Serves what comes and does what is due; false after the goodbye."""
        global rest, is_open, count
        ready = select.select([self.socket] + ([sys.stdin] if self.is_live and is_open else []), [], [], 0.2)[0]
        if sys.stdin in ready:
            data = os.read(0, 65536)
            *lines, rest = (rest + data).split(b"\n")
            is_open = data != b""
            for text in lines:
                count += 1
                outbox[f"{prefix}-{count}"] = {"text": text.decode()}
                self.transmit(f"{prefix}-{count}")
        if self.socket in ready:
            self.read()
            for frame in self.frames():
                self.on_frame(**frame)
        now = time.monotonic()
        if now > self.heard + 1.5 * self.heartbeat_s:
            raise Closed()
        if not self.is_live:
            return True
        if self.is_behind and not self.syncing:
            self.sync()
        if any(now > deadline for _, deadline in [self.syncing or (0, now), *(message["asked"] for message in outbox.values())]):
            raise Closed()
        if now > self.renew_at:
            log_in()
            self.renew_at, _ = float("inf"), self.ask("AUTH", token=token)
        if cursors != self.told and not outbox:  # What is not acknowledged is not delivered, even if the log has it.
            self.told, moved = dict(cursors), list(cursors.items())[-256:]
            self.send("RECEIPTS", receipts=[{"conversation": key, "delivered_seq": str(seq)} for key, seq in moved])
        if now > max(self.sent + 1, min(self.sent, self.heard) + 0.75 * self.heartbeat_s):
            self.send("PING")
        if is_open or outbox or self.syncing:
            return True
        self.send("CLOSE", code="CLIENT_GOODBYE")

failures = 0
while True:
    try:
        connection = Connection()
        while connection.turn():
            failures = 0 if connection.is_live else failures
        sys.exit()
    except (OSError, StopIteration) as error:
        end = error if isinstance(error, Closed) else Closed()
        if end.code in ("TOKEN_EXPIRED", "TOKEN_INVALID") and failures == 0:
            token = None  # The next attempt logs in.
        elif not end.retryable:
            sys.exit(f"{end.code}: {error}")
        failures += 1
        time.sleep(end.wait_s + random.uniform(0, min(0.2 * 2 ** failures, 10)))
