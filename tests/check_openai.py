#!/usr/bin/env python3
"""`fathom serve` through the eyes of OpenAI's own Python client: check_openai.py [PART OF A NAME]...

Every check is a function check_*; what it is about stands in its name.  The model is the default one; for `suffix` the same
with the marks of a middle (dress_model.py).  Needs FATHOM_PROGRAM and the packages that tools/downloads.txt pins as clients
(`make check-openai` sees to both).  The last line counts; exit status 1 where a check failed."""

import json
import os
import shutil
import sys
import threading
import time
import traceback

import openai
from openai import AsyncOpenAI, OpenAI

import dress_model
import test_serve

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
COLOUR = {"type": "object", "properties": {"name": {"enum": ["red", "green"]}, "n": {"type": "integer"}},
          "required": ["name", "n"], "additionalProperties": False}
WEATHER = {"type": "function", "function": {
    "name": "weather", "description": "Tells the weather of a city", "parameters": {
        "type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}, "days": {"type": "integer"}},
        "required": ["city", "days"], "additionalProperties": False}}}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {
    "type": "object", "properties": {}, "additionalProperties": False}}}


class Place:
    """What a check may use."""

    def __init__(self):
        self.server = test_serve.Server()
        self.locked = test_serve.Server("--api-key", "secret")
        marked = os.path.join(test_serve.ROOT, "marked.gguf")
        dress_model.with_fim_marks(test_serve.MODEL, marked)
        self.marked = test_serve.Server(model=marked)
        self.model = self.client().models.list().data[0].id

    def client(self, server=None, key="none", **more):
        return OpenAI(base_url=f"http://127.0.0.1:{(server or self.server).port}/v1", api_key=key, max_retries=0, timeout=120, **more)

    def chat(self, messages=None, **more):
        return self.client().chat.completions.create(model=self.model, messages=messages or QUESTION,
                                                     **{"temperature": 0, "max_tokens": 12, **more})

    def complete(self, prompt="def add(a, b):\n", server=None, **more):
        return self.client(server).completions.create(model=self.model, prompt=prompt, **{"temperature": 0, "max_tokens": 12, **more})

    def close(self):
        for server in (self.server, self.locked, self.marked):
            server.stop()
        shutil.rmtree(test_serve.ROOT, ignore_errors=True)


def text_of(reply):
    return reply.choices[0].message.content


def fails(kind, status, call):
    """The exception that the client makes of an answer, which must be one of the server's own."""
    try:
        call()
    except kind as fault:
        assert fault.status_code == status, fault
        assert fault.body["message"] and fault.body["type"] and fault.body["code"] == status, fault.body
        return fault
    raise AssertionError(f"no {kind.__name__}")


# ---- models ----

def check_models_list(place):
    models = place.client().models.list()
    assert [each.object for each in models.data] == ["model"] and models.data[0].id in test_serve.MODEL


def check_models_retrieve(place):
    assert place.client().models.retrieve(place.model).id == place.model
    fails(openai.NotFoundError, 404, lambda: place.client().models.retrieve("another"))


# ---- chat ----

def check_chat_whole(place):
    reply = place.chat()
    assert reply.object == "chat.completion" and reply.id.startswith("chatcmpl-") and reply.model == place.model
    assert abs(reply.created - time.time()) < 300
    choice = reply.choices[0]
    assert choice.index == 0 and choice.message.role == "assistant" and choice.finish_reason in ("stop", "length")
    assert choice.message.content.strip() and choice.message.tool_calls is None


def check_chat_usage(place):
    usage = place.chat().usage
    assert 0 < usage.completion_tokens <= 12 and usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    again = place.chat().usage
    assert again.prompt_tokens == usage.prompt_tokens
    assert again.prompt_tokens_details.cached_tokens == usage.prompt_tokens - 1


def check_chat_greedy_repeats(place):
    assert len({text_of(place.chat()) for _ in range(3)}) == 1


def check_chat_seed(place):
    draw = lambda seed: text_of(place.chat(temperature=1.5, seed=seed, max_tokens=16))
    assert draw(7) == draw(7) and len({draw(seed) for seed in range(5)}) > 1


def check_chat_max_tokens(place):
    for key in ("max_tokens", "max_completion_tokens"):
        reply = place.client().chat.completions.create(model=place.model, messages=QUESTION, temperature=0, **{key: 3})
        assert reply.usage.completion_tokens == 3 and reply.choices[0].finish_reason == "length"


def check_chat_ends_by_itself(place):
    choice = place.chat(max_tokens=200).choices[0]
    assert choice.finish_reason == "stop" and "Paris" in choice.message.content, choice


def check_chat_stop(place):
    text = text_of(place.chat())
    word = text.split()[2]
    choice = place.chat(stop=[word, "never"]).choices[0]
    assert choice.message.content == text[:text.index(word)] and choice.finish_reason == "stop"
    assert text_of(place.chat(stop=word)) == choice.message.content


def check_chat_system_and_history(place):
    messages = [{"role": "system", "content": "You answer in one word."}, *QUESTION, {"role": "assistant", "content": "Paris"},
                {"role": "user", "content": [{"type": "text", "text": "And of "}, {"type": "text", "text": "Italy?"}]}]
    joined = messages[:3] + [{"role": "user", "content": "And of Italy?"}]
    assert text_of(place.chat(messages)) == text_of(place.chat(joined))


def check_chat_logprobs(place):
    items = place.chat(logprobs=True, top_logprobs=4).choices[0].logprobs.content
    assert "".join(item.token for item in items) == text_of(place.chat())
    for item in items:
        assert len(item.top_logprobs) == 4 and item.top_logprobs[0].token == item.token and item.logprob <= 0
        assert [top.logprob for top in item.top_logprobs] == sorted((top.logprob for top in item.top_logprobs), reverse=True)
        assert bytes(item.bytes).decode("utf-8", "ignore") in item.token or "\ufffd" in item.token
    assert place.chat().choices[0].logprobs is None


def check_chat_logit_bias(place):
    text = text_of(place.chat())
    first = place.server.post("/tokenize", {"content": text.split()[0]})["tokens"][0]
    assert text_of(place.chat(logit_bias={first: -100})) != text


def check_chat_several_choices(place):
    one = text_of(place.chat())
    same = place.chat(n=3)
    assert [choice.index for choice in same.choices] == [0, 1, 2] and {choice.message.content for choice in same.choices} == {one}
    assert same.usage.prompt_tokens == place.chat().usage.prompt_tokens
    drawn = place.chat(n=4, temperature=1.5, seed=3)
    assert len({choice.message.content for choice in drawn.choices}) > 1
    assert [c.message.content for c in place.chat(n=4, temperature=1.5, seed=3).choices] == [c.message.content for c in drawn.choices]
    assert text_of(place.chat(temperature=1.5, seed=3)) == text_of(drawn)


def check_chat_ignores_what_it_does_not_know(place):
    assert text_of(place.chat(user="me", metadata={"a": "b"}, store=False, extra_body={"later": [1, {"x": None}]})) == text_of(place.chat())


def check_chat_raw_response(place):
    raw = place.client().chat.completions.with_raw_response.create(model=place.model, messages=QUESTION, max_tokens=2)
    assert raw.status_code == 200 and raw.headers["content-type"] == "application/json" and raw.parse().choices


# ---- streaming ----

def check_stream_chat(place):
    parts = list(place.chat(stream=True))
    assert all(part.object == "chat.completion.chunk" and part.id == parts[0].id for part in parts)
    assert parts[0].choices[0].delta.role == "assistant" and len(parts) > 4
    assert "".join(part.choices[0].delta.content or "" for part in parts) == text_of(place.chat())
    assert [part.choices[0].finish_reason for part in parts].count(None) == len(parts) - 1
    assert parts[-1].choices[0].finish_reason == place.chat().choices[0].finish_reason


def check_stream_usage(place):
    parts = list(place.chat(stream=True, stream_options={"include_usage": True}))
    assert parts[-1].choices == [] and parts[-1].usage.completion_tokens == place.chat().usage.completion_tokens
    assert all(part.usage is None for part in parts[:-1])


def check_stream_helper(place):
    """The client's own gathering of a stream."""
    with place.client().chat.completions.stream(model=place.model, messages=QUESTION, temperature=0, max_tokens=12) as stream:
        for _ in stream:
            pass
        assert text_of(stream.get_final_completion()) == text_of(place.chat())


def check_stream_several_choices(place):
    texts = {0: "", 1: "", 2: ""}
    ends = []
    for part in place.chat(stream=True, n=3, temperature=1.2, seed=5):
        for choice in part.choices:
            texts[choice.index] += choice.delta.content or ""
            if choice.finish_reason:
                ends.append(choice.index)
    whole = place.chat(n=3, temperature=1.2, seed=5)
    assert [texts[i] for i in range(3)] == [choice.message.content for choice in whole.choices] and sorted(ends) == [0, 1, 2]


def check_stream_comes_bit_by_bit(place):
    began, first = time.monotonic(), None
    for part in place.chat(stream=True, max_tokens=60, logit_bias={2: -100}):
        if first is None and part.choices[0].delta.content:
            first = time.monotonic() - began
    assert first < (time.monotonic() - began) / 2


def check_abort_frees_the_slot(place):
    before = place.server.metric("cancelled_total")
    stream = place.chat(stream=True, max_tokens=1500, logit_bias={2: -100})
    for _ in range(4):
        next(iter(stream))
    assert place.server.metric("requests_running") == 1
    stream.close()
    place.server.wait_for(lambda: place.server.metric("requests_running") == 0, 5)
    assert place.server.metric("cancelled_total") == before + 1
    slots = json.loads(place.server.ask("GET", "/slots")[2])
    assert all(slot["state"] == "free" for slot in slots)


def check_abort_of_several_choices(place):
    before = place.server.metric("cancelled_total")
    stream = place.chat(stream=True, n=6, max_tokens=1500, logit_bias={2: -100})
    for _ in range(4):
        next(iter(stream))
    stream.close()
    place.server.wait_for(lambda: place.server.metric("requests_running") + place.server.metric("requests_waiting") == 0, 5)
    assert place.server.metric("cancelled_total") == before + 1


def check_timeout_frees_the_slot(place):
    try:
        place.client().with_options(timeout=0.5).chat.completions.create(model=place.model, messages=QUESTION, max_tokens=1500,
                                                                         logit_bias={2: -100})
        raise AssertionError("no timeout")
    except openai.APITimeoutError:
        pass
    place.server.wait_for(lambda: place.server.metric("requests_running") == 0, 5)


# ---- tools ----

def check_tools_required(place):
    choice = place.chat(tools=[WEATHER, CLOCK], tool_choice="required", max_tokens=80).choices[0]
    call = choice.message.tool_calls[0]
    assert choice.finish_reason == "tool_calls" and call.type == "function" and call.id and call.function.name in ("weather", "clock")
    assert isinstance(json.loads(call.function.arguments), dict)


def check_tools_named(place):
    choice = place.chat(tools=[WEATHER, CLOCK], tool_choice={"type": "function", "function": {"name": "weather"}},
                        max_tokens=80).choices[0]
    call = choice.message.tool_calls[0]
    assert call.function.name == "weather" and set(json.loads(call.function.arguments)) == {"city", "days"}
    assert choice.message.content is None


def check_tools_round_trip(place):
    asked = [{"role": "user", "content": "How is the weather in Rome?"}]
    message = place.chat(asked, tools=[WEATHER], tool_choice="required", max_tokens=80).choices[0].message
    asked += [message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny, 31"}]
    reply = place.chat(asked, tools=[WEATHER], tool_choice="none")
    assert text_of(reply) is not None and reply.choices[0].message.tool_calls is None


def check_tools_streamed(place):
    ask = dict(tools=[WEATHER], tool_choice="required", max_tokens=80)
    names, arguments, finish = [], "", None
    for part in place.chat(stream=True, **ask):
        for call in part.choices[0].delta.tool_calls or []:
            assert call.index == 0
            names += [call.function.name] if call.function.name else []
            arguments += call.function.arguments or ""
        finish = part.choices[0].finish_reason or finish
    call = place.chat(**ask).choices[0].message.tool_calls[0]
    assert names == ["weather"] and json.loads(arguments) == json.loads(call.function.arguments) and finish == "tool_calls"


def check_tools_auto_and_none(place):
    for choice in ("auto", "none"):
        reply = place.chat([{"role": "user", "content": "Say hello."}], tools=[WEATHER], tool_choice=choice, max_tokens=20)
        assert reply.choices[0].finish_reason in ("stop", "length", "tool_calls")
    assert reply.choices[0].message.tool_calls is None


def check_tools_of_several_choices(place):
    reply = place.chat(tools=[WEATHER], tool_choice="required", max_tokens=80, n=2)
    ids = [choice.message.tool_calls[0].id for choice in reply.choices]
    assert len(set(ids)) == 2


# ---- bound answers ----

def check_schema(place):
    reply = place.chat(max_tokens=60, response_format={"type": "json_schema", "json_schema": {
        "name": "colour", "schema": COLOUR, "strict": True}})
    value = json.loads(text_of(reply))
    assert set(value) == {"name", "n"} and value["name"] in ("red", "green") and isinstance(value["n"], int), value


def check_schema_streamed(place):
    form = {"type": "json_schema", "json_schema": {"name": "colour", "schema": COLOUR}}
    text = "".join(part.choices[0].delta.content or "" for part in place.chat(max_tokens=60, stream=True, response_format=form))
    assert set(json.loads(text)) == {"name", "n"}


def check_json_object(place):
    bound = [{"role": "user", "content": "Give me a short JSON object with the key a."}]
    choice = place.chat(bound, max_tokens=200, response_format={"type": "json_object"}).choices[0]
    if choice.finish_reason == "stop":  # a small model may go on without end
        assert isinstance(json.loads(choice.message.content), dict)
    assert choice.message.content.lstrip().startswith("{")


def check_parsed_answer(place):
    """The client's own reading of an answer into a class."""
    from pydantic import BaseModel  # pylint: disable=import-outside-toplevel

    class Person(BaseModel):
        name: str
        is_adult: bool

    ask = [{"role": "user", "content": "Ada is 36 years old."}]
    form = {"type": "json_schema", "json_schema": {"name": "p", "schema": {"type": "object", "properties": {
        "name": {"enum": ["Ada", "Bob"]}, "is_adult": {"type": "boolean"}}, "required": ["name", "is_adult"],
        "additionalProperties": False}}}
    person = Person.model_validate_json(text_of(place.chat(ask, max_tokens=40, response_format=form)))
    assert person.name in ("Ada", "Bob")


def check_schema_that_cannot_be_held(place):
    fault = fails(openai.BadRequestError, 400, lambda: place.chat(response_format={"type": "json_schema", "json_schema": {
        "name": "x", "schema": {"type": "string", "pattern": "a+"}}}))
    assert "pattern" in str(fault)


# ---- completions ----

def check_completion(place):
    reply = place.complete()
    assert reply.object == "text_completion" and reply.choices[0].text and reply.usage.completion_tokens == 12
    ids = place.server.post("/tokenize", {"content": "def add(a, b):\n"})["tokens"]
    assert place.complete(ids).choices[0].text == reply.choices[0].text


def check_completion_streamed(place):
    parts = list(place.complete(stream=True))
    assert "".join(part.choices[0].text for part in parts) == place.complete().choices[0].text


def check_completion_logprobs(place):
    told = place.complete(logprobs=2).choices[0].logprobs
    assert "".join(told.tokens) == place.complete().choices[0].text and len(told.token_logprobs) == 12
    assert all(len(top) <= 2 and max(top.values()) <= 0 for top in told.top_logprobs) and told.text_offset[0] == 0


def check_completion_several_prompts(place):
    prompts = ["int main(", "import os\n", "SELECT * "]
    reply = place.complete(prompts, n=2)
    assert [choice.index for choice in reply.choices] == list(range(6))
    for i, prompt in enumerate(prompts):
        alone = place.complete(prompt)
        assert [choice.text for choice in reply.choices[2 * i:2 * i + 2]] == [alone.choices[0].text] * 2
    assert reply.usage.prompt_tokens == sum(place.complete(prompt).usage.prompt_tokens for prompt in prompts)


def check_completion_echo(place):
    assert place.complete(echo=True).choices[0].text == "def add(a, b):\n" + place.complete().choices[0].text


def check_completion_suffix(place):
    """A model with marks sees what stands behind; one without says that it can't."""
    def fill(suffix, **more):  # without the marks: such a model has learnt nothing of when they come
        return place.complete(server=place.marked, suffix=suffix, logit_bias={each: -100 for each in range(17)}, **more)
    one, other = fill("\n\nprint(add(1, 2))\n"), fill("\n\nclass Adder:\n")
    assert one.usage.prompt_tokens > place.complete(server=place.marked).usage.prompt_tokens + 3
    assert one.choices[0].text != other.choices[0].text
    assert "".join(part.choices[0].text for part in fill("\n\nprint(add(1, 2))\n", stream=True)) == one.choices[0].text
    fails(openai.InternalServerError, 501, lambda: place.complete(suffix="}"))


# ---- failures ----

def check_errors_bad_request(place):
    for wrong in (dict(temperature=-1), dict(top_p=2), dict(stop=[""]), dict(n=1000), dict(extra_body={"max_tokens": "many"}),
                  dict(tools=[WEATHER], tool_choice="sometimes"), dict(top_logprobs=3), dict(response_format={"type": "xml"})):
        fails(openai.BadRequestError, 400, lambda more=wrong: place.chat(**more))
    fails(openai.BadRequestError, 400, lambda: place.chat([{"role": "king", "content": "a"}]))
    fails(openai.BadRequestError, 400, lambda: place.chat([{"role": "user", "content": "word " * 9000}]))


def check_errors_unsupported(place):
    fails(openai.InternalServerError, 501, lambda: place.client().embeddings.create(model=place.model, input="a"))


def check_errors_not_found(place):
    fails(openai.NotFoundError, 404, lambda: place.client().files.list())


def check_errors_key(place):
    for key in ("wrong", "secre"):
        fails(openai.AuthenticationError, 401, lambda key=key: place.client(place.locked, key).models.list())
    assert place.client(place.locked, "secret").models.list().data


def check_errors_origin(place):
    fails(openai.PermissionDeniedError, 403, lambda: place.client(default_headers={"Origin": "http://evil.example"}).models.list())


def check_errors_connection(place):
    gone = OpenAI(base_url="http://127.0.0.1:9/v1", api_key="none", max_retries=0)
    try:
        gone.models.list()
        raise AssertionError("somebody answered")
    except openai.APIConnectionError:
        pass
    assert place.client().models.list().data  # and ours goes on


# ---- many at once ----

def check_threads(place):
    ask = lambda i: text_of(place.chat([{"role": "user", "content": f"What is {i} plus {i}?"}]))
    alone, together = [ask(i) for i in range(8)], [None] * 8

    def fill(i):
        together[i] = ask(i)

    threads = [threading.Thread(target=fill, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def check_async(place):
    import asyncio  # pylint: disable=import-outside-toplevel

    async def ask():
        client = AsyncOpenAI(base_url=f"http://127.0.0.1:{place.server.port}/v1", api_key="none", max_retries=0)
        tasks = [client.chat.completions.create(model=place.model, messages=QUESTION, temperature=0, max_tokens=12) for _ in range(6)]
        return [text_of(reply) for reply in await asyncio.gather(*tasks)]

    assert set(asyncio.run(ask())) == {text_of(place.chat())}


def check_keeps_connections(place):
    client = place.client()
    for _ in range(20):
        client.models.list()
    client.close()


def main():
    place = Place()
    passed = failed = 0
    for name, check in [(n, c) for n, c in globals().items() if n.startswith("check_")]:
        if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
            continue
        began = time.monotonic()
        try:
            check(place)
            passed += 1
            print(f"ok {name}  ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {name}\n" + "".join("    " + line for line in traceback.format_exc(limit=-3).splitlines(True)), flush=True)
    place.close()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
