#!/usr/bin/env python3
"""Writes tests/golden/tools.json: what published chat templates give for a conversation with tools, rendered by jinja2.

Usage: tests/make_tools_golden.py DATA > tests/golden/tools.json

DATA is the tests' data folder, with llama.cpp's models/templates (they are not kept here).  The environment is that of
transformers' apply_chat_template.  tests/test_serve_models.py asks the server for the same conversation."""

import datetime
import json
import os
import sys

from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

# Template, name of its family here, BOS, EOS.
FAMILIES = (
    ("Qwen-Qwen2.5-7B-Instruct.jinja", "qwen2.5", "", "<|im_end|>"),
    ("Qwen-Qwen3-0.6B.jinja", "qwen3", "", "<|im_end|>"),
    ("meta-llama-Llama-3.1-8B-Instruct.jinja", "llama3.1", "<|begin_of_text|>", "<|eot_id|>"),
    ("mistralai-Mistral-Nemo-Instruct-2407.jinja", "mistral-nemo", "<s>", "</s>"),
    ("deepseek-ai-DeepSeek-V3.1.jinja", "deepseek-v3.1", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    ("llama-cpp-deepseek-r1.jinja", "deepseek-r1", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
)
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Tells the weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}}},
         {"type": "function", "function": {"name": "clock", "description": "Tells the time", "parameters": {
             "type": "object", "properties": {}}}}]
CALL = {"id": "call00001", "type": "function", "function": {"name": "weather", "arguments": {"city": "Rome", "days": 2}}}
ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How is it in Rome?"}]
CALLED = ASKED + [{"role": "assistant", "content": "", "tool_calls": [CALL]},
                  {"role": "tool", "tool_call_id": "call00001", "name": "weather", "content": "sunny, 31"}]
ANSWERED = CALLED + [{"role": "assistant", "content": "Sunny."}, {"role": "user", "content": "And tomorrow?"}]
CONVERSATIONS = {"asked": ASKED, "called": CALLED, "answered": ANSWERED}


def fail(reason):
    raise ValueError(reason)


def render(text, bos, eos, messages):
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = lambda value, indent=None, **_: json.dumps(value, ensure_ascii=False, indent=indent, default=list)
    environment.globals["raise_exception"] = fail
    environment.globals["strftime_now"] = lambda form: datetime.datetime(2024, 7, 26).strftime(form)
    return environment.from_string(text).render(messages=messages, tools=TOOLS, bos_token=bos, eos_token=eos,
                                                add_generation_prompt=True)


def main():
    result = {"tools": TOOLS, "conversations": CONVERSATIONS, "families": []}
    for name, family, bos, eos in FAMILIES:
        with open(os.path.join(sys.argv[1], "templates", name), encoding="utf-8") as file:
            text = file.read()
        prompts = {}
        for what, messages in CONVERSATIONS.items():
            try:
                prompts[what] = render(text, bos, eos, messages)
            except (ValueError, TypeError) as fault:
                prompts[what] = None
                print(f"{name}: {what}: {fault}", file=sys.stderr)
        result["families"].append({"template": name, "family": family, "bos": bos, "eos": eos, "prompts": prompts})
    json.dump(result, sys.stdout, ensure_ascii=False, indent=1)
    print()


if __name__ == "__main__":
    main()
