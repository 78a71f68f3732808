#!/usr/bin/env python3
"""Asks `fathom serve` as editors, programs and attackers would: every endpoint, errors, hostile requests, clients that go away,
slow readers, the requests that llama.vim really sends (tests/golden/llama-vim.jsonl).

Needs FATHOM_PROGRAM and FATHOM_TEST_MODEL, nothing but Python's standard library.  Arguments choose tests by a part of their
name; `soak` is the large form of the crowd: 500 clients, half of which go away."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PROGRAM = os.path.abspath(os.environ.get("FATHOM_PROGRAM", "build/fathom"))
MODEL = os.environ.get("FATHOM_TEST_MODEL", "build/test-data/models/SmolLM2-135M-Instruct.Q4_1.gguf")
SLOWNESS = int(os.environ.get("TEST_SLOWNESS", "1"))
ROOT = tempfile.mkdtemp(prefix="fathom-serve-")
PATIENCE = 120 * SLOWNESS


class Server:
    def __init__(self, *options, listen="127.0.0.1:0", model=None):
        env = dict(os.environ, XDG_CACHE_HOME=os.path.join(ROOT, "cache"))
        self.process = subprocess.Popen([PROGRAM, "serve", "-m", model or MODEL, "-c", "2048", "--listen", listen, *options],
                                        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env)
        line = self.process.stderr.readline().decode()
        assert "listening at" in line, line
        where = line.split("listening at ")[1].split(" ")[0]
        self.port = None if where.startswith("unix:") else int(where.rsplit(":", 1)[1])
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def ask(self, method, path, body=None, headers=None):
        """Status, headers, bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        connection.request(method, path, data, headers or {})
        reply = connection.getresponse()
        result = reply.status, reply.headers, reply.read()
        connection.close()
        return result

    def post(self, path, body):
        status, _, data = self.ask("POST", path, body)
        assert status == 200, (status, data)
        return json.loads(data)

    def fails(self, path, body, code):
        status, _, data = self.ask("POST", path, body)
        assert status == code, (status, code, data, body if len(str(body)) < 500 else "")
        error = json.loads(data)["error"]
        assert error["code"] == code and error["message"] and error["type"], error

    def raw(self, *pieces, end=b"", timeout=None):
        """Sends bytes, returns all that comes until the other end closes or is quiet."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout or 10) as one:
            try:
                for piece in pieces:
                    one.sendall(piece)
            except OSError:
                pass
            got = b""
            try:
                while piece := one.recv(65536):
                    got += piece
                    if end and end in got:
                        break
            except OSError:
                pass
            return got

    def metric(self, name):
        text = self.ask("GET", "/metrics")[2].decode()
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"fathom_{name} "))

    def wait_for(self, test, seconds=60):
        end = time.monotonic() + seconds * SLOWNESS
        while not test():
            assert time.monotonic() < end, "waited too long"
            time.sleep(0.02)

    def rss(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=60 * SLOWNESS) == 0


def events(data):
    """Objects of a stream, which must end as it should."""
    blocks = data.decode().split("\n\n")
    assert blocks[-1] == "" and blocks[-2] == "data: [DONE]", blocks[-2:]
    return [json.loads(block[6:]) for block in blocks[:-2]]


def chat(text, n=8, **more):
    return dict({"messages": [{"role": "user", "content": text}], "max_tokens": n, "temperature": 0}, **more)


def test_state(server):
    assert json.loads(server.ask("GET", "/health")[2]) == {"status": "ok"}
    props = json.loads(server.ask("GET", "/props")[2])
    assert props["total_slots"] == 4 and props["fim"] == {"marks": False, "form": "none", "way": "continuation"}, props
    slots = json.loads(server.ask("GET", "/slots")[2])
    assert len(slots) == 4 and all(slot["state"] == "free" and slot["n_ctx"] == 2048 for slot in slots), slots
    models = json.loads(server.ask("GET", "/v1/models")[2])
    assert models["data"][0]["object"] == "model" and models["data"][0]["id"] in MODEL
    api = json.loads(server.ask("GET", "/openapi.json")[2])
    for path in ("/infill", "/v1/chat/completions", "/tokenize", "/metrics"):
        assert path in api["paths"]
    assert api["components"]["schemas"]["Token"]["maximum"] == 49151
    assert server.ask("HEAD", "/health")[0] == 200
    assert server.metric("http_requests_total") >= 6


def test_words(server):
    ids = server.post("/tokenize", {"content": "hello wörld <|im_end|>"})["tokens"]
    assert server.post("/detokenize", {"tokens": ids})["content"] == "hello wörld <|im_end|>"
    assert server.post("/tokenize", {"content": "<|im_end|>", "parse_special": True})["tokens"] == [2]
    assert 2 not in ids
    pieces = server.post("/tokenize", {"content": "a \U0001f600", "with_pieces": True})["tokens"]
    whole = b"".join(p["piece"].encode() if isinstance(p["piece"], str) else bytes(p["piece"]) for p in pieces)
    assert whole.decode() == "a \U0001f600"


def test_chat(server):
    whole = server.post("/v1/chat/completions", chat("Say hi", logprobs=True, top_logprobs=3))
    choice = whole["choices"][0]
    text, usage = choice["message"]["content"], whole["usage"]
    assert choice["finish_reason"] == "length" and usage["completion_tokens"] == 8, whole
    assert usage["total_tokens"] == usage["prompt_tokens"] + 8
    items = choice["logprobs"]["content"]
    assert b"".join(bytes(item["bytes"]) for item in items).decode() == text and len(items) == 8
    for item in items:
        top = item["top_logprobs"]
        assert len(top) == 3 and top[0]["token"] == item["token"] and top[0]["logprob"] >= top[1]["logprob"]
    again = server.post("/v1/chat/completions", chat("Say hi"))
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] == usage["prompt_tokens"] - 1
    assert again["choices"][0]["message"]["content"] == text
    status, headers, data = server.ask("POST", "/v1/chat/completions",
                                       chat("Say hi", stream=True, stream_options={"include_usage": True}))
    assert status == 200 and headers["Content-Type"] == "text/event-stream"
    parts = events(data)
    assert "".join(c["delta"].get("content", "") for p in parts for c in p["choices"]) == text
    assert parts[0]["choices"][0]["delta"]["role"] == "assistant" and parts[-1]["usage"]["completion_tokens"] == 8
    assert parts[-2]["choices"][0]["finish_reason"] == "length"
    stop = text[len(text) // 2:][:3]
    cut = server.post("/v1/chat/completions", chat("Say hi", stop=[stop]))["choices"][0]
    assert cut["message"]["content"] == text[:text.index(stop)] and cut["finish_reason"] == "stop"


def test_completion(server):
    ids = server.post("/tokenize", {"content": "int main("})["tokens"]
    body = {"prompt": "int main(", "max_tokens": 6, "temperature": 0}
    text = server.post("/v1/completions", body)["choices"][0]["text"]
    assert server.post("/v1/completions", dict(body, prompt=ids))["choices"][0]["text"] == text
    assert server.post("/v1/completions", dict(body, echo=True))["choices"][0]["text"] == "int main(" + text
    told = server.post("/v1/completions", dict(body, logprobs=2))["choices"][0]["logprobs"]
    assert "".join(told["tokens"]) == text and len(told["token_logprobs"]) == 6
    forbidden = server.post("/tokenize", {"content": told["tokens"][0]})["tokens"][0]
    other = server.post("/v1/completions", dict(body, logit_bias={str(forbidden): -100}))["choices"][0]["text"]
    assert not other.startswith(told["tokens"][0])
    streamed = events(server.ask("POST", "/v1/completions", dict(body, stream=True))[2])
    assert "".join(part["choices"][0]["text"] for part in streamed) == text
    server.fails("/v1/completions", dict(body, suffix="}"), 501)


def test_choices(server):
    """Several answers, to several prompts: each is what it would be alone, and its prompt is read once."""
    body = {"prompt": "Once upon a time there was a", "max_tokens": 6, "temperature": 0}
    one = server.post("/v1/completions", body)
    many = server.post("/v1/completions", dict(body, n=7, prompt=[body["prompt"], "int main("]))
    assert [choice["index"] for choice in many["choices"]] == list(range(14))
    assert {choice["text"] for choice in many["choices"][:7]} == {one["choices"][0]["text"]}, (many, one)
    assert many["usage"]["completion_tokens"] == 14 * 6
    server.wait_for(lambda: server.metric("requests_running") == 0)  # then all of it is counted
    read = server.metric("prompt_tokens_total")
    text = "The weather in the north of the country was rather cold, and so "
    asked = server.post("/v1/completions", dict(body, prompt=text * 8, n=4, temperature=1.5, seed=1))
    assert len({choice["text"] for choice in asked["choices"]}) > 1
    server.wait_for(lambda: server.metric("requests_running") == 0)
    read = server.metric("prompt_tokens_total") - read
    assert read <= asked["usage"]["prompt_tokens"] + 3, (read, asked["usage"])
    parts = events(server.ask("POST", "/v1/completions", dict(body, n=3, stream=True))[2])
    assert sorted(c["index"] for p in parts for c in p["choices"] if c["finish_reason"]) == [0, 1, 2]
    for i in range(3):
        text = "".join(c["text"] for p in parts for c in p["choices"] if c["index"] == i)
        assert text == one["choices"][0]["text"], (text, one)
    for wrong in (dict(body, n=0), dict(body, n=33, prompt=["a", "b"]), dict(body, best_of=3), dict(body, prompt=[]),
                  dict(body, prompt=["a", 5]), dict(body, prompt=["a", None])):
        server.fails("/v1/completions", wrong, 400)


def test_schema(server):
    schema = {"type": "object", "properties": {"name": {"enum": ["red", "green"]}, "n": {"type": "integer"}},
              "required": ["name", "n"], "additionalProperties": False}
    bound = chat("Name a colour and a number.", 60,
                 response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}})
    choice = server.post("/v1/chat/completions", bound)["choices"][0]
    value = json.loads(choice["message"]["content"])
    assert set(value) == {"name", "n"} and value["name"] in ("red", "green") and isinstance(value["n"], int), value
    server.fails("/v1/chat/completions", chat("a", response_format={"type": "json_schema", "json_schema": {
        "schema": {"type": "string", "pattern": "a+"}}}), 400)
    server.fails("/v1/chat/completions", chat("a", response_format={"type": "xml"}), 400)


def test_tools(server):
    tool = {"type": "function", "function": {"name": "weather", "description": "Tells the weather", "parameters": {
        "type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}}, "required": ["city"],
        "additionalProperties": False}}}
    for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        asked = chat("How is the weather in Rome?", 60, tools=[tool], tool_choice=choice)
        answer = server.post("/v1/chat/completions", asked)["choices"][0]
        call = answer["message"]["tool_calls"][0]
        assert answer["finish_reason"] == "tool_calls" and call["function"]["name"] == "weather", answer
        assert json.loads(call["function"]["arguments"])["city"] in ("Oslo", "Rome")
    parts = events(server.ask("POST", "/v1/chat/completions", dict(asked, stream=True))[2])
    calls = [c for p in parts for c in p["choices"][0]["delta"].get("tool_calls", [])]
    assert len(calls) == 1 and calls[0]["index"] == 0 and parts[-1]["choices"][0]["finish_reason"] == "tool_calls"
    asked["messages"] += [{"role": "assistant", "content": None, "tool_calls": [call]},
                          {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}]
    server.post("/v1/chat/completions", dict(asked, tool_choice="none"))
    two = [tool, {"type": "function", "function": {"name": "time", "parameters": {
        "type": "object", "properties": {}, "additionalProperties": False}}}]
    answer = server.post("/v1/chat/completions", chat("What time is it?", 80, tools=two, tool_choice="required"))
    assert answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"] in ("weather", "time")
    server.fails("/v1/chat/completions", chat("a", tools=[tool, tool]), 400)
    server.fails("/v1/chat/completions", chat("a", tools=[tool], tool_choice="sometimes"), 400)


def test_llama_vim(server):
    """Every field that the plugin reads, in the form in which it reads it."""
    with open("tests/golden/llama-vim.jsonl", encoding="utf-8") as file:
        captured = [json.loads(line) for line in file]
    assert len(captured) == 12
    for request in captured:
        body = request["body"]
        headers = {k: v for k, v in request["headers"].items() if k not in ("Host", "Content-Length")}
        status, kind, data = server.ask("POST", request["path"], body, headers)
        assert status == 200 and kind["Content-Type"] == "application/json", data
        text = data.decode()
        assert "\n" not in text and text.startswith("{")
        reply = json.loads(text)
        if body["response_fields"] == [""]:
            assert text == "{}"
            continue
        assert '"content":"' in text and list(reply) == body["response_fields"], text
        assert isinstance(reply["timings/prompt_n"], int) and isinstance(reply["timings/predicted_n"], int)
        assert isinstance(reply["tokens_cached"], int) and reply["truncated"] is False


def test_infill(server):
    body = {"input_prefix": "def add(a, b):\n", "prompt": "    return a ", "input_suffix": "\n\nprint(add(1, 2))\n",
            "n_predict": 16, "temperature": 0}
    reply = server.post("/infill", body)
    assert {"content", "timings", "tokens_cached", "truncated", "stop_type", "generation_settings"} <= set(reply), reply
    assert reply["generation_settings"]["n_ctx"] == 2048 and isinstance(reply["timings"]["prompt_n"], int)
    many = server.post("/infill", dict(body, n_cmpl=3))
    assert isinstance(many, list) and 1 <= len(many) <= 3 and all("content" in one for one in many)
    again = server.post("/infill", dict(body, prompt="    return a +"))
    assert again["timings"]["prompt_n"] <= 16, again
    server.fails("/infill", dict(body, input_extra=[{"filename": 3}]), 400)
    server.fails("/infill", b'{"input_extra":[{"filename":"a\\u0000b","text":"x"}]}', 400)


def test_faults(server):
    for path, body in (("/v1/chat/completions", {}), ("/v1/chat/completions", {"messages": []}),
                       ("/v1/chat/completions", chat("a", temperature="hot")), ("/v1/chat/completions", dict(chat("a"), n=65)),
                       ("/v1/chat/completions", {"messages": [{"role": "king", "content": "a"}]}),
                       ("/v1/chat/completions", chat("a", stop=[""])), ("/v1/completions", {"prompt": [1, -1]}),
                       ("/v1/completions", {"prompt": 5}), ("/tokenize", {}), ("/detokenize", {"tokens": [1e9]}),
                       ("/tokenize", []), ("/v1/chat/completions", chat("word " * 5000))):
        server.fails(path, body, 400)
    server.fails("/v1/embeddings", {"input": "a"}, 501)
    assert server.ask("GET", "/nowhere")[0] == 404
    status, headers, _ = server.ask("GET", "/infill")
    assert status == 405 and headers["Allow"] == "POST"


def test_hostile(server):
    before = server.metric("answers_total")
    deep = b'{"prompt":' + b"[" * 100000 + b"]" * 100000 + b"}"
    for body in (deep, b'{"prompt":"a","temperature":1e999}', b'{"prompt":"\\ud800"}', b'{"prompt":"a\\u0000b"}',
                 b'{"prompt":"a","prompt":"b"}', b'{"prompt":"a","pro\\u006dpt":"b"}', b'{"prompt":"\xff"}',
                 b'{"prompt":"a"} x', b"", b"nul", b'{"prompt":"a",}', b'{"prompt":01}',
                 b"[" + b"1," * 300000 + b"1]", b'{"a":' + b"1" * 100 + b"}"):
        server.fails("/v1/completions", body, 400)
    ask = b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % server.port
    got = server.raw(ask + b"Content-Length: 12\r\nContent-Length: 13\r\n\r\n{\"prompt\":1}")
    assert b" 400 " in got.split(b"\r\n")[0], got
    got = server.raw(ask + b"Content-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\n{\"prompt\":1}")
    assert b" 400 " in got.split(b"\r\n")[0], got
    got = server.raw(ask + b"Content-Length: 99999999999\r\n\r\n{")
    assert b" 413 " in got.split(b"\r\n")[0], got
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    got = server.raw(ask + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 400)
    assert b" 413 " in got.split(b"\r\n")[0], got[:200]
    got = server.raw(ask + b"X-Large: " + b"a" * 100000 + b"\r\n\r\n")
    assert got.split(b" ")[1:2] in ([b"431"], [b"413"]), got[:200]
    got = server.raw(b"POST /v1/completions HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 2\r\n\r\n{}", end=b"}}")
    assert b" 403 " in got.split(b"\r\n")[0]
    for host in ("evil.example", "127.0.0.1:1", "127.0.0.1.evil.example:%d" % server.port, "[::1"):
        assert server.ask("GET", "/health", headers={"Host": host})[0] == 403, host
    assert server.ask("GET", "/health", headers={"Host": "localhost:%d" % server.port})[0] == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:%d" % server.port):
        status, headers, _ = server.ask("POST", "/v1/completions", {"prompt": "a"}, {"Origin": origin})
        assert status == 403 and "Access-Control-Allow-Origin" not in headers
    assert server.metric("answers_total") == before
    expect = ask + b"Content-Length: 15\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as one:
        one.sendall(expect)
        assert b"100 Continue" in one.recv(200)
        one.sendall(b'{"prompt":"ab"}')
        assert b" 200 " in one.recv(65536)


def stream_and_leave(server, after, n=2000, path="/v1/completions"):
    body = json.dumps({"prompt": "Once upon a time", "max_tokens": n, "temperature": 0, "stream": after > 0}).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as one:
        one.sendall(b"POST %s HTTP/1.1\r\nHost: localhost:%d\r\nContent-Length: %d\r\n\r\n" %
                    (path.encode(), server.port, len(body)) + body)
        got = b""
        while got.count(b"data: ") < after:
            piece = one.recv(4096)
            assert piece
            got += piece
        if after == 0:
            time.sleep(0.2)


def test_gone(server):
    """Who goes away stops what it asked for, streamed or not."""
    for after in (0, 3):
        before = server.metric("cancelled_total")
        stream_and_leave(server, after)
        server.wait_for(lambda: server.metric("cancelled_total") == before + 1, 10)
        server.wait_for(lambda: server.metric("requests_running") == 0, 10)


def crowd(server, n, n_slow, n_tokens):
    """Clients of whom half go away; readers who don't read.  Those that stay get what they would have got alone."""
    prompts = [f"Question {i}: how far is it to " for i in range(8)]
    ask = lambda prompt: server.post("/v1/completions", {"prompt": prompt, "max_tokens": n_tokens, "temperature": 0})
    alone = {prompt: ask(prompt)["choices"][0]["text"] for prompt in prompts}
    slow, wrong, late, done = [], [], [], threading.Event()
    body = json.dumps({"prompt": "Once upon", "max_tokens": n_tokens, "temperature": 0, "stream": True}).encode()
    for _ in range(n_slow):
        one = socket.create_connection(("127.0.0.1", server.port))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        one.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost:%d\r\nContent-Length: %d\r\n\r\n" %
                    (server.port, len(body)) + body)
        slow.append(one)

    def client(i):
        try:
            if i % 2:
                stream_and_leave(server, i % 3)
            elif ask(prompts[i // 2 % 8])["choices"][0]["text"] != alone[prompts[i // 2 % 8]]:
                wrong.append(i)
        except (OSError, AssertionError, http.client.HTTPException) as fault:
            wrong.append((i, repr(fault)))

    def watch():
        while not done.is_set():
            began = time.monotonic()
            assert server.ask("GET", "/health")[0] == 200
            late.append(time.monotonic() - began)
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    clients = [threading.Thread(target=client, args=(i,)) for i in range(n)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    done.set()
    watcher.join()
    for one in slow:
        one.close()
    server.wait_for(lambda: server.metric("requests_running") + server.metric("requests_waiting") == 0, 120)
    assert not wrong, wrong[:5]
    assert max(late) < 1 * SLOWNESS, max(late)
    return max(late)


def test_crowd(server):
    crowd(server, 24, 8, 8)


def test_soak():
    server = Server()
    global PATIENCE
    PATIENCE = 3000
    crowd(server, 100, 20, 8)
    baseline = server.rss()
    late = crowd(server, 500, 100, 8)
    time.sleep(1)
    after = server.rss()
    print(f"500 clients, 100 slow readers: health within {late * 1000:.0f} ms, RSS {baseline >> 20} to {after >> 20} MiB")
    assert after < baseline * 1.05, (baseline, after)
    server.stop()


def test_doors():
    """Keys, origins, unix sockets, addresses."""
    server = Server("--api-key", "secret", "--cors", "http://localhost:3000")
    assert server.ask("GET", "/health")[0] == 200 and server.ask("GET", "/props")[0] == 401
    for headers, status in (({"Authorization": "Bearer secret"}, 200), ({"Authorization": "Bearer secre"}, 401),
                            ({"X-Api-Key": "secret"}, 200), ({"Authorization": "Bearer "}, 401)):
        assert server.ask("GET", "/props", headers=headers)[0] == status, headers
    page = {"Origin": "http://localhost:3000"}
    status, headers, _ = server.ask("OPTIONS", "/v1/completions", headers=page)
    assert status == 204 and headers["Access-Control-Allow-Origin"] == page["Origin"]
    assert server.ask("OPTIONS", "/v1/completions", headers={"Origin": "http://else"})[0] == 403
    server.stop()
    done = subprocess.run([PROGRAM, "serve", "-m", MODEL, "--listen", "0.0.0.0:0"], capture_output=True, timeout=60)
    assert done.returncode == 2 and b"--api-key" in done.stderr, done
    path = os.path.join(ROOT, "socket")
    server = Server(listen="unix:" + path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(path)
        one.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b'{"status":"ok"}' in one.recv(4096) + one.recv(4096)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0 and not os.path.exists(path)


def test_leaving():
    """The server is ended while connections that stay open go on asking: it ends as it should, and so do they."""
    server = Server()
    answered = []

    def ask_on():
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        try:
            while True:
                for method, path, body in (("GET", "/props", None), ("GET", "/slots", None), ("POST", "/tokenize", b'{"content":"a"}'),
                                           ("POST", "/v1/completions", b'{"prompt":"a","max_tokens":2}')):
                    connection.request(method, path, body)
                    reply = connection.getresponse()
                    reply.read()
                    assert reply.status in (200, 503), reply.status
                    answered.append(reply.status)
        except (OSError, http.client.HTTPException):
            pass  # it is gone

    threads = [threading.Thread(target=ask_on) for _ in range(6)]
    for thread in threads:
        thread.start()
    server.wait_for(lambda: len(answered) > 40)
    server.stop()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_overhead(server):
    """What the server adds to a request: the whole of one that needs no evaluation; of a chat, what is neither reading nor
    answering.  The client's own time is in both."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)

    def time_one(path, body):
        began = time.perf_counter()
        connection.request("POST", path, body)
        reply = connection.getresponse().read()
        return (time.perf_counter() - began) * 1e3, reply

    def time_chat(body):
        whole, reply = time_one("/v1/chat/completions", body)
        timings = json.loads(reply)["timings"]
        return whole - timings["prompt_ms"] - timings["predicted_ms"]

    words = sorted(time_one("/tokenize", b'{"content":"int main(void)"}')[0] for _ in range(200))
    body = json.dumps(chat("Say hi", 2)).encode()
    chats = sorted(time_chat(body) for _ in range(40))
    print(f"a request's overhead, client included: median {words[100]:.3f} ms, p95 {words[190]:.3f} ms; "
          f"of a chat: median {chats[20]:.3f} ms, p95 {chats[38]:.3f} ms")
    assert words[100] < 5 * SLOWNESS and chats[20] < 5 * SLOWNESS


def main():
    chosen = sys.argv[1:]
    shared = Server()
    alone = {"test_doors", "test_leaving", "test_soak"}
    failed = False
    for name, test in [(n, t) for n, t in globals().items() if n.startswith("test_")]:
        if (chosen and not any(word in name for word in chosen)) or (name == "test_soak" and "soak" not in chosen):
            continue
        began = time.monotonic()
        try:
            test(*([] if name in alone else [shared]))
            print(f"ok {name}  ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception as fault:  # pylint: disable=broad-except
            print(f"not ok {name}: {type(fault).__name__}: {fault}", flush=True)
            failed = True
    shared.stop()
    sys.exit(failed)


if __name__ == "__main__":
    main()
