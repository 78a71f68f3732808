#!/usr/bin/env python3
"""`fathom serve` held against its own description, /openapi.json, by schemathesis: check_schema.py [ARGUMENT OF schemathesis run]...

Requests that the description allows must be answered as it says, those that it forbids refused, and nothing may fail that it
doesn't name.  The seed is fixed, so that a finding comes again.  The model has the marks of a middle (dress_model.py), so that
`suffix` can be asked for.  What no schema can say is put right before a request is sent: the tool that is chosen is one of
those that there are, no two of them have the same name, a conversation fits into the context, and schemas that answers are
bound to are such as can be held to (others get a 400 that names the keyword).  501 is what the server has for embeddings.

Needs FATHOM_PROGRAM and the packages that tools/downloads.txt pins as clients (`make check-schema` sees to both).  Exit status 1
where something was found."""

import os
import shutil
import subprocess
import sys

import dress_model
import test_serve

CONFIGURATION = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "501"]
"""

HOOKS = '''
import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    body = case.body
    if not isinstance(body, dict):
        return
    messages = body.get("messages")
    if isinstance(messages, list) and 32 < len(messages) <= 4096:
        del messages[32:]
    form = body.get("response_format")
    for holder in (form, form.get("json_schema") if isinstance(form, dict) else None):
        if isinstance(holder, dict) and isinstance(holder.get("schema"), dict):
            holder["schema"] = {"type": "object"}
    tools, choice = body.get("tools"), body.get("tool_choice")
    if not isinstance(tools, list) or not all(isinstance(tool, dict) and isinstance(tool.get("function"), dict) for tool in tools):
        return
    names = [tool["function"].get("name") for tool in tools]
    if not all(isinstance(name, str) for name in names):
        return
    kept = dict(zip(names, tools))
    body["tools"] = list(kept.values())
    if kept and isinstance(choice, dict) and isinstance(choice.get("function"), dict) and \\
            isinstance(choice["function"].get("name"), str):
        choice["function"]["name"] = next(iter(kept))
'''


def main():
    model = os.path.join(test_serve.ROOT, "marked.gguf")
    dress_model.with_fim_marks(test_serve.MODEL, model)
    server = test_serve.Server("-n", "6", "--api-key", "secret", model=model)
    for name, text in (("schemathesis.toml", CONFIGURATION), ("hooks.py", HOOKS)):
        with open(os.path.join(test_serve.ROOT, name), "w", encoding="utf-8") as file:
            file.write(text)
    command = [os.path.join(os.path.dirname(os.path.abspath(sys.executable)), "schemathesis"), "run",
               f"http://127.0.0.1:{server.port}/openapi.json", "--checks", "all", "--header", "Authorization: Bearer secret",
               "--seed", "1", "--max-examples", "60", "--workers", "2", "--request-timeout", "60", "--continue-on-failure", *sys.argv[1:]]
    environment = dict(os.environ, SCHEMATHESIS_HOOKS="hooks", PYTHONPATH=test_serve.ROOT)
    result = subprocess.run(command, cwd=test_serve.ROOT, env=environment, check=False)
    alive = server.process.poll() is None
    print("the server " + ("goes on" if alive else "ENDED"))
    if alive:
        server.stop()
    shutil.rmtree(test_serve.ROOT, ignore_errors=True)
    return 0 if result.returncode == 0 and alive else 1


if __name__ == "__main__":
    sys.exit(main())
