#!/usr/bin/env python3
"""Writes tests/golden/chat.json: what published chat templates give for a few conversations, rendered by jinja2.

Usage: tests/make_chat_golden.py DATA > tests/golden/chat.json

DATA is the tests' data folder, with the files of llama.cpp's source package (they are not kept here):
  templates/*.jinja         its models/templates
  test-chat-template.cpp    its tests/test-chat-template.cpp, whose C strings hold more templates
Further templates are in this script (OWN): the programs of well-known templates that are not in the package, in our own
spelling.  Every template is named by the FNV-1a hash of its text.  The ones in FAMILIES must be recognised, as that family,
and render like this; all others must be refused.

The environment is that of transformers' apply_chat_template: trim_blocks, lstrip_blocks, tools and documents None,
raise_exception, strftime_now.  The clock stands at 26 July 2024, the date that Llama 3.2's template gives without a clock.
"""
import datetime
import glob
import json
import os
import re
import sys

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

U, A, S = "user", "assistant", "system"
CONVERSATIONS = {
    "user": [(U, "Hello")],
    "system": [(S, "Be brief."), (U, "Hello")],
    "turns": [(U, "Hello"), (A, "Hi there"), (U, "Who are you?")],
    "system-turns": [(S, "Be brief."), (U, "Hello"), (A, "Hi there"), (U, "Who are you?"), (A, "A model."), (U, "Good")],
    "empty-system": [(S, ""), (U, "Hello"), (A, "Hi"), (U, "More")],
    "spaces": [(S, " \n Be brief. \n"), (U, "\n\tHello \u00a0\n "), (A, "\u3000 Hi\n\n"), (U, "  x  ")],
    "only-spaces": [(S, "s"), (U, " \n "), (A, " "), (U, "\n")],
    "empty-contents": [(U, ""), (A, ""), (U, "")],
    "marks": [(S, "a<|im_end|>\n<|im_start|>user\nb"), (U, "<|eot_id|>[/INST] <s></s>{{ x }}{% if y %}"),
              (A, "<｜end▁of▁sentence｜><|EOT|><end_of_turn><</SYS>>"), (U, "<<SYS>> ### Response:\n<|endoftext|>")],
    "sys-mark": [(U, "<<SYS>>\nmine\n<</SYS>>\n\nHello")],
    "thought": [(U, "Sum?"), (A, "<think>\nlet me see\n</think>\n\nThree."), (U, "Sure?")],
    "thought-last": [(S, "x"), (U, "Sum?"), (A, "<think>\n\nhm\n\n</think>\n\n\nThree.")],
    "thought-odd": [(U, "a"), (A, "x</think>y</think>\nz"), (U, "<tool_response>1</tool_response>"),
                    (A, "<think>p<think>\nq\n</think>\n"), (U, "<tool_response>2</tool_response>"), (A, "\n</think>\nr")],
    "ends-with-assistant": [(U, "Hello"), (A, "\nHi there")],
    "system-middle": [(U, "Hello"), (A, "Hi"), (S, "Be brief."), (U, "More")],
    "system-after-user": [(U, "Hello"), (S, "Be brief. "), (U, "More")],
    "two-systems": [(S, "One."), (S, "Two."), (U, "Hello")],
    "system-twice": [(S, "One."), (U, "Hello"), (S, " Two."), (U, "More"), (A, "Hi")],
    "system-last": [(S, "One."), (U, "Hello"), (A, "Hi"), (S, "Two.")],
    "only-system": [(S, "Alone.")],
    "assistant-first": [(A, "Hi"), (U, "Hello")],
    "user-twice": [(U, "One"), (U, "Two"), (A, "Three"), (A, "Four")],
}

# Which of the package's templates must be recognised, and as what.
FAMILIES = {
    "Qwen-Qwen2.5-7B-Instruct.jinja": "qwen2.5",
    "MiMo-VL.jinja": "chatml",
    "Qwen3-Coder.jinja": "chatml",
    "Qwen-Qwen3-0.6B.jinja": "qwen3",
    "Qwen-QwQ-32B.jinja": "qwq",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja": "deepseek-r1",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja": "deepseek-r1",
    "llama-cpp-deepseek-r1.jinja": "deepseek-r1",
    "deepseek-ai-DeepSeek-V3.1.jinja": "deepseek-v3.1",
    "meta-llama-Llama-3.1-8B-Instruct.jinja": "llama3.1",
    "meta-llama-Llama-3.2-3B-Instruct.jinja": "llama3.1",
    "meta-llama-Llama-3.3-70B-Instruct.jinja": "llama3.1",
    "mistralai-Mistral-Nemo-Instruct-2407.jinja": "mistral-nemo",
    "google-gemma-2-2b-it.jinja": "gemma",
    "cpp:teknium/OpenHermes-2.5-Mistral-7B": "chatml",
    "cpp:mistralai/Mistral-7B-Instruct-v0.2 (NOTE: Old pre-v1 without a system prompt)": "mistral-v0",
    "cpp:mistralai/Mistral-7B-Instruct-v0.2 (mistralai 'v1' template with a system prompt)": "mistral-v1",
    "cpp:Mistral-Large-Instruct-2407 (mistralai 'v3' template; modified to have system prompt at start)": "mistral-v3",
    "cpp:Mistral-Nemo-Instruct-2407 (mistralai 'v3-tekken' template; modified to have system prompt at start)":
        "mistral-nemo",
    "cpp:mistralai/Mistral-Large-Instruct-2411 (mistralai 'v7' template)": "mistral-v7",
    "cpp:bofenghuang/vigogne-2-70b-chat": "llama2",
    "cpp:google/gemma-7b-it": "gemma",
    "cpp:deepseek-ai/deepseek-coder-33b-instruct": "deepseek-coder",
    "cpp:DeepSeek-V2": "deepseek-v2",
    "cpp:Llama-3": "llama3",
    "unsloth-mistral-Devstral-Small-2507.jinja": "devstral",
}

# Programs of templates that the package doesn't hold.  Where a program was published is said; the spelling is ours.
V3_SYSTEM = """{%- set ns = namespace(is_tool=false, is_first=false, system_prompt='', is_first_sp=true, is_last_user=false) -%}
{%- for message in messages -%}{%- if message.role == 'system' -%}
{%- if ns.is_first_sp -%}{%- set ns.system_prompt = ns.system_prompt + message.content -%}{%- set ns.is_first_sp = false -%}
{%- else -%}{%- set ns.system_prompt = ns.system_prompt + '\\n\\n' + message.content -%}{%- endif -%}
{%- endif -%}{%- endfor -%}{{ bos_token }}{{ ns.system_prompt }}"""
LAST_SYSTEM = """{%- set ns = namespace(is_tool=false, system_prompt='') -%}
{%- for message in messages -%}{%- if message.role == 'system' -%}
{%- set ns.system_prompt = message.content -%}{%- endif -%}{%- endfor -%}{{ bos_token }}{{ ns.system_prompt }}"""
TURNS = """{%- for message in messages -%}
{%- if message.role == 'user' -%}{%- set ns.is_tool = false -%}{{ '<｜User｜>' + message.content }}{%- endif -%}
{%- if message.role == 'assistant' and CONDITION -%}ANSWER{%- endif -%}{%- endfor -%}"""
WITHOUT_TOOLS = "message.tool_calls is not defined"
NO_NONE = "message.content is not none"
SAID = "{%- if ns.is_tool -%}{{ '<｜tool▁outputs▁end｜>' + message.content }}{%- set ns.is_tool = false -%}{%- else -%}REST{%- endif -%}"
PLAIN = SAID.replace("REST", "{{ '<｜Assistant｜>' + message.content + '<｜end▁of▁sentence｜>' }}")
COPIED = SAID.replace("REST", "{%- set content = message.content -%}{{ '<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>' }}")
CUT = SAID.replace("REST", "{%- set content = message.content -%}{%- if '</think>' in content -%}"
                   "{%- set content = content.split('</think>')[-1] -%}{%- endif -%}"
                   "{{ '<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>' }}")
ASK = "{%- if add_generation_prompt and not ns.is_tool -%}{{ 'OPEN' }}{%- endif -%}"


def deepseek(system, condition, answer, opening):
    return system + TURNS.replace("CONDITION", condition).replace("ANSWER", answer) + ASK.replace("OPEN", opening)


V3_TURNS = V3_SYSTEM + """{%- for message in messages -%}FIRST
{%- if message.role == 'user' -%}{%- set ns.is_tool = false -%}{%- set ns.is_first = false -%}
{%- set ns.is_last_user = true -%}{{ '<｜User｜>' + TEXT + '<｜Assistant｜>' }}{%- endif -%}
{%- if message.role == 'assistant' and (message.tool_calls is not defined or message.tool_calls is none) -%}
{%- set ns.is_last_user = false -%}{%- if ns.is_tool -%}x{%- else -%}SAID{%- endif -%}{%- endif -%}{%- endfor -%}
{%- if ns.is_tool -%}x{%- endif -%}
{%- if add_generation_prompt and not ns.is_last_user and not ns.is_tool -%}{{ '<｜Assistant｜>' }}{%- endif -%}"""
V31 = "{%- if not thinking is defined -%}{%- set thinking = false -%}{%- endif -%}" + V3_SYSTEM + """
{%- for message in messages -%}{%- if message.role == 'user' -%}
{%- set ns.is_tool = false -%}{%- set ns.is_last_user = true -%}{{ '<｜User｜>' + message.content }}{%- endif -%}
{%- if message.role == 'assistant' and (message.tool_calls is not defined or message.tool_calls is none) -%}
{%- if ns.is_last_user -%}{{ '<｜Assistant｜>' }}
{%- if message.prefix is defined and message.prefix and thinking -%}{{ '<think>' }}{%- else -%}{{ '</think>' }}{%- endif -%}
{%- endif -%}{%- set ns.is_last_user = false -%}{%- if ns.is_tool -%}{{ message.content + '<｜end▁of▁sentence｜>' }}
{%- set ns.is_tool = false -%}{%- else -%}{%- set content = message.content -%}{%- if '</think>' in content -%}
{%- set content = content.split('</think>', 1)[1] -%}{%- endif -%}{{ content + '<｜end▁of▁sentence｜>' }}{%- endif -%}
{%- endif -%}{%- endfor -%}{%- if add_generation_prompt and ns.is_last_user and not ns.is_tool -%}
{{ '<｜Assistant｜>' }}{%- if not thinking -%}{{ '</think>' }}{%- else -%}{{ '<think>' }}{%- endif -%}{%- endif -%}"""

CHATML = "{% for m in messages %}".replace("m in", "message in") + (
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}")
CHATML_ASK = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
QWEN3_TOP = """{%- if messages[0].role == 'system' -%}{{ '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}{%- endif -%}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) -%}"""
QWEN3_SEARCH = """{%- for message in messages[::-1] -%}{%- set index = (messages|length - 1) - loop.index0 -%}
{%- if ns.multi_step_tool and message.role == "user" STRING and not(message.content.startswith('<tool_response>') and
message.content.endswith('</tool_response>')) -%}{%- set ns.multi_step_tool = false -%}
{%- set ns.last_query_index = index -%}{%- endif -%}{%- endfor -%}"""
QWEN3_SEARCH_INSIDE = """{%- for index in range(ns.last_query_index, -1, -1) -%}{%- set message = messages[index] -%}
{%- if ns.multi_step_tool and message.role == "user" and not('<tool_response>' in message.content and
'</tool_response>' in message.content) -%}{%- set ns.multi_step_tool = false -%}
{%- set ns.last_query_index = index -%}{%- endif -%}{%- endfor -%}"""
QWEN3_USER = """{%- if (message.role == "user") or (message.role == "system" and not loop.first) -%}
{{ '<|im_start|>' + message.role + '\\n' + TEXT + '<|im_end|>' + '\\n' }}{%- elif message.role == "assistant" -%}"""
QWEN3_SAID = """{%- if loop.index0 > ns.last_query_index -%}{%- if loop.last or (not loop.last and reasoning_content) -%}
{{ '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
{%- else -%}{{ '<|im_start|>' + message.role + '\\n' + content }}{%- endif -%}
{%- else -%}{{ '<|im_start|>' + message.role + '\\n' + content }}{%- endif -%}
{{- '<|im_end|>\\n' -}}{%- endif -%}{%- endfor -%}"""
QWEN3_CONTENT = """{%- if message.content is string -%}{%- set content = message.content -%}{%- else -%}{%- set content = '' -%}{%- endif -%}"""
THOUGHT = "content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n')"
ANSWER = "content.split('</think>')[-1].lstrip('\\n')"

STARCODER2 = """{{ bos_token }}{{ 'You are an exceptionally intelligent coding assistant that consistently delivers accurate and reliable responses to user instructions.\\n\\n' }}
{%- for message in messages %}{% if message.role == 'system' %}
        {{ raise_exception('no system messages') }}
{%- else %}{% if message.role == 'user' -%}
{{ '### Instruction\\n' + message.content + '\\n\\n' }}{% else -%}
{{ '### Response\\n' + message.content + eos_token + '\\n\\n' }}{% endif %}{% endif %}{% endfor -%}
{{ '### Response\\n' }}"""

CODER_DEFAULT = ("You are an AI programming assistant, utilizing the Deepseek Coder model, developed by Deepseek Company, and you "
                 "only answer questions related to computer science.")
CODER_TURNS = """{%- for message in messages -%}{%- if message.role == 'system' -%}SYSTEM{%- else -%}{%- if message.role == 'user' -%}
USER{%- else -%}SAID{%- endif -%}{%- endif -%}{%- endfor -%}"""

LLAMA2 = """{%- if messages[0].role == 'system' -%}{%- set loop_messages = messages[1:] -%}
{%- set system_message = messages[0].content -%}MORE{%- else -%}{%- set loop_messages = messages -%}
{%- set system_message = false -%}{%- endif -%}{%- for message in loop_messages -%}
{%- if (message.role == 'user') != (loop.index0 % 2 == 0) -%}{{ raise_exception('in turn!') }}{%- endif -%}
{%- if loop.index0 == 0 and system_message != false -%}
{%- set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message.content -%}
{%- else -%}{%- set content = message.content -%}{%- endif -%}
{%- if message.role == 'user' -%}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
{%- elif message.role == 'assistant' -%}{{ ' ' + content.strip() + ' ' + eos_token }}{%- endif -%}{%- endfor -%}"""

YI = """{%- if messages[0].role == 'system' -%}{%- set system_message = messages[0].content -%}{%- endif -%}
{%- if system_message is defined -%}{{ system_message }}{%- endif -%}
{%- for message in messages -%}{%- set content = message.content -%}
{%- if message.role == 'user' -%}{{ '<|im_start|>user\\n' + content + '<|im_end|>\\n<|im_start|>assistant\\n' }}
{%- elif message.role == 'assistant' -%}{{ content + '<|im_end|>' + '\\n' }}{%- endif -%}{%- endfor -%}"""

GEMMA3 = """{{ bos_token }}{%- if messages[0].role == 'system' -%}{%- if messages[0].content is string -%}
{%- set first_user_prefix = messages[0].content + '\\n\\n' -%}{%- else -%}
{%- set first_user_prefix = messages[0].content[0].text + '\\n\\n' -%}{%- endif -%}
{%- set loop_messages = messages[1:] -%}{%- else -%}{%- set first_user_prefix = "" -%}
{%- set loop_messages = messages -%}{%- endif -%}{%- for message in loop_messages -%}
{%- if (message.role == 'user') != (loop.index0 % 2 == 0) -%}{{ raise_exception("in turn") }}{%- endif -%}
{%- if message.role == 'assistant' -%}{%- set role = "model" -%}{%- else -%}{%- set role = message.role -%}{%- endif -%}
{{ '<start_of_turn>' + role + '\\n' + (first_user_prefix if loop.first else "") }}
{%- if message.content is string -%}{{ message.content | trim }}{%- elif message.content is iterable -%}
{%- for item in message.content -%}{{ item.text }}{%- endfor -%}{%- else -%}{{ raise_exception("kind") }}{%- endif -%}
{{ '<end_of_turn>\\n' }}{%- endfor -%}{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}"""

OWN = {
    # Qwen2, Qwen1.5: SmolLM2's program with other words
    "qwen2": ("chatml", "{% for message in messages %}{% if loop.first and messages[0].role != 'system' %}"
              "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}" + CHATML[len("{% for message in messages %}"):]
              + "{% endfor %}" + CHATML_ASK),
    "smollm2": ("smollm2", "{% for message in messages %}{% if loop.first and messages[0].role != 'system' %}"
                "{{ '<|im_start|>system\\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\\n' }}"
                "{% endif %}" + CHATML[len("{% for message in messages %}"):] + "{% endfor %}" + CHATML_ASK),
    # cognitivecomputations/dolphin-2.8-mistral-7b-v02
    "chatml-bos": ("chatml", "{{ bos_token }}" + CHATML + "{% endfor %}" + CHATML_ASK),
    # AutoTrain's
    "chatml-inside": ("chatml", CHATML + "{% if loop.last and add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
                      "{% endif %}{% endfor %}"),
    # Qwen/Qwen3-30B-A3B-Instruct-2507, Qwen3-4B-Instruct-2507
    "qwen3-instruct-2507": ("chatml", QWEN3_TOP.split("{%- set ns")[0] + "{%- for message in messages -%}" + QWEN3_CONTENT
                            + QWEN3_USER.replace("TEXT", "content")
                            + "{{ '<|im_start|>' + message.role + '\\n' + content }}{{- '<|im_end|>\\n' -}}{%- endif -%}"
                            "{%- endfor -%}" + CHATML_ASK),
    # unsloth's copies of Qwen3
    "qwen3-inside": ("qwen3", QWEN3_TOP + QWEN3_SEARCH_INSIDE + "{%- for message in messages -%}"
                     + QWEN3_USER.replace("TEXT", "message.content")
                     + "{%- set content = message.content -%}{%- set reasoning_content = '' -%}"
                     "{%- if '</think>' in message.content -%}{%- set content = message." + ANSWER + " -%}"
                     "{%- set reasoning_content = message." + THOUGHT + " -%}{%- endif -%}" + QWEN3_SAID + CHATML_ASK),
    # Qwen/Qwen3-30B-A3B-Thinking-2507
    "qwen3-thinking-2507": ("qwen3", QWEN3_TOP + QWEN3_SEARCH.replace("STRING", "and message.content is string")
                            + "{%- for message in messages -%}" + QWEN3_CONTENT + QWEN3_USER.replace("TEXT", "content")
                            + "{%- set reasoning_content = '' -%}{%- if message.reasoning_content is string -%}"
                            "{%- set reasoning_content = message.reasoning_content -%}{%- else -%}"
                            "{%- if '</think>' in content -%}{%- set reasoning_content = " + THOUGHT + " -%}"
                            "{%- set content = " + ANSWER + " -%}{%- endif -%}{%- endif -%}" + QWEN3_SAID
                            + "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n<think>\\n' }}{%- endif -%}"),
    # Qwen/QwQ-32B
    "qwq": ("qwq", QWEN3_TOP.split("{%- set ns")[0] + "{%- for message in messages -%}"
            + QWEN3_USER.replace("TEXT", "message.content").replace(' -%}', ' and not message.tool_calls -%}') .replace(
                'and not loop.first) and not message.tool_calls -%}', 'and not loop.first) -%}')
            + "{%- set content = message.content -%}{%- if not loop.last -%}{%- set content = message." + ANSWER + " -%}"
            "{%- endif -%}{{ '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}{%- endif -%}{%- endfor -%}"
            "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n<think>\\n' }}{%- endif -%}"),
    "yi-1.5": ("yi", YI),  # 01-ai/Yi-1.5-*-Chat
    # meta-llama/Llama-2-*-chat-hf; with a default text (switched on or off): its tokenizer's older form
    "llama2": ("llama2", LLAMA2.replace("MORE", "")),
    "llama2-default-off": ("llama2", LLAMA2.replace(
        "MORE", "{%- elif false == true and not '<<SYS>>' in messages[0].content -%}{%- set loop_messages = messages -%}"
        "{%- set system_message = 'You are a helpful, respectful and honest assistant.' -%}")),
    # bigcode/starcoder2-15b-instruct-v0.1
    "starcoder2": ("starcoder2", STARCODER2),
    # ishorn5/RTLCoder-Deepseek-v1.1, older copies of deepseek-coder-*-instruct
    "deepseek-coder-always": ("deepseek-coder", "{%- set ns = namespace(found=false) -%}{%- for message in messages -%}"
                              "{%- if message.role == 'system' -%}{%- set ns.found = true -%}{%- endif -%}{%- endfor -%}"
                              "{{ bos_token }}{%- if not ns.found -%}{{ '" + CODER_DEFAULT + "\\n' }}{%- endif -%}"
                              + CODER_TURNS.replace("SYSTEM", "\n{{- message.content }}")
                              .replace("USER", "{{ '### Instruction:\\n' + message.content + '\\n' }}")
                              .replace("SAID", "{{ '### Response:\\n' + message.content + '\\n<|EOT|>\\n' }}")
                              + "{{ '### Response:\\n' }}"),
    "deepseek-coder-flag": ("deepseek-coder", "{%- set found_item = false -%}{%- for message in messages -%}"
                            "{%- if message.role == 'system' -%}{%- set found_item = true -%}{%- endif -%}{%- endfor -%}"
                            "{%- if not found_item -%}{{ '" + CODER_DEFAULT + "\\n' }}{%- endif -%}"
                            + CODER_TURNS.replace("SYSTEM", "\n{{- message.content }}")
                            .replace("USER", "{{ '### Instruction:\\n' + message.content + '\\n' }}")
                            .replace("SAID", "{{ '### Response:\\n' + message.content + '\\n<|EOT|>\\n' }}")
                            + "{{ '### Response:\\n' }}"),
    # deepseek-ai/DeepSeek-V2.5, DeepSeek-Coder-V2's later form, the first DeepSeek-V3
    "deepseek-v2.5": ("deepseek-v2.5", deepseek(LAST_SYSTEM, NO_NONE, PLAIN, "<｜Assistant｜>")),
    # open-r1's for R1-Distill
    "deepseek-v2.5-copied": ("deepseek-v2.5", deepseek(LAST_SYSTEM, NO_NONE, COPIED, "<｜Assistant｜>")),
    "deepseek-v3": ("deepseek-v3", deepseek(V3_SYSTEM, NO_NONE, PLAIN, "<｜Assistant｜>")),  # deepseek-ai/DeepSeek-V3
    "deepseek-v3-copied": ("deepseek-v3", deepseek(V3_SYSTEM, NO_NONE, COPIED, "<｜Assistant｜>")),
    # deepseek-ai/DeepSeek-V3-0324
    "deepseek-v3-0324": ("deepseek-v3", V3_TURNS.replace("FIRST", "").replace("TEXT", "message.content").replace(
        "SAID", "{%- set content = message.content -%}{{ content + '<｜end▁of▁sentence｜>' }}")),
    # deepseek-ai/DeepSeek-R1-0528(-Qwen3-8B)
    "deepseek-r1-0528": ("deepseek-r1", V3_TURNS.replace(
        "FIRST", "{%- set content = message.content -%}{%- if message.role == 'assistant' and '</think>' in content -%}"
        "{%- set content = content.split('</think>')[-1] -%}{%- endif -%}").replace("TEXT", "content").replace(
        "SAID", "{{ content + '<｜end▁of▁sentence｜>' }}")),
    "deepseek-v3.1": ("deepseek-v3.1", V31),  # deepseek-ai/DeepSeek-V3.1
    # deepseek-ai/DeepSeek-R1 and its distilled models, as first published and later; unsloth's copies with joined systems
    "deepseek-r1-distill": ("deepseek-r1", deepseek(LAST_SYSTEM, NO_NONE, CUT, "<｜Assistant｜><think>\\n")),
    "deepseek-r1-distill-first": ("deepseek-r1", deepseek(LAST_SYSTEM, NO_NONE, CUT, "<｜Assistant｜>")),
    "deepseek-r1-joined": ("deepseek-r1", deepseek(V3_SYSTEM, "'tool_calls' not in message", CUT, "<｜Assistant｜><think>\\n")),
    "deepseek-r1-joined-first": ("deepseek-r1", deepseek(V3_SYSTEM, "'tool_calls' not in message", CUT, "<｜Assistant｜>")),
    "gemma3": ("gemma3", GEMMA3),  # google/gemma-3-*-it
}

# bos_token and eos_token of a family's models, where they are not <s> and </s>.
TOKENS = {
    "llama3": ("<|begin_of_text|>", "<|eot_id|>"),
    "llama3.1": ("<|begin_of_text|>", "<|eot_id|>"),
    "gemma": ("<bos>", "<eos>"),
    "chatml": ("", "<|im_end|>"),
    "starcoder2": ("<|endoftext|>", "<|endoftext|>"),
}
TOKENS["gemma3"] = TOKENS["gemma"]
for name in ("chatml", "smollm2", "qwen2.5", "qwen3", "qwq"):
    TOKENS[name] = ("<|endoftext|>", "<|im_end|>")
TOKENS["yi"] = ("<|startoftext|>", "<|im_end|>")
for name in ("deepseek-coder", "deepseek-v2", "deepseek-v2.5", "deepseek-v3", "deepseek-v3.1", "deepseek-r1"):
    TOKENS[name] = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")


class Raised(Exception):
    pass


def raise_exception(message):
    raise Raised(message)


def render(text, messages, bos, eos, add_generation):
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = lambda x, indent=None: json.dumps(x, ensure_ascii=False, indent=indent)
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = datetime.datetime(2024, 7, 26, 12).strftime
    return environment.from_string(text).render(
        messages=[{"role": role, "content": content} for role, content in messages], tools=None, documents=None,
        add_generation_prompt=add_generation, bos_token=bos, eos_token=eos)


def fnv1a(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return "%016x" % value


def kept(text):
    return text if len(text) < 1000 else "fnv1a " + fnv1a(text.encode())


def c_string(literal):
    escapes = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "'": "'", "\\": "\\"}
    return re.sub(r"\\(.)", lambda match: escapes[match[1]], literal)


def sources(folder):
    for path in sorted(glob.glob(os.path.join(folder, "templates", "*.jinja"))):
        with open(path, newline="") as file:
            yield os.path.basename(path), file.read()
    with open(os.path.join(folder, "test-chat-template.cpp")) as file:
        program = file.read()
    pattern = (r'^\s*/\* \.name= \*/ "((?:[^"\\]|\\.)*)",(?:\s*//[^\n]*\n)*'
               r'\s*/\* \.template_str=? \*/ (?:U8C\()?"((?:[^"\\]|\\.)*)"')
    for match in re.finditer(pattern, program, re.M):
        yield "cpp:" + c_string(match[1]), c_string(match[2])


def entry(name, text, family, numbers):
    row = {"name": name, "hash": fnv1a(text.encode())}
    if family is None:
        return row
    bos, eos = TOKENS.get(family, ("<s>", "</s>"))
    row.update(family=family, bos=bos, eos=eos, renders={})
    for label, messages in CONVERSATIONS.items():
        both = []
        for add_generation in (False, True):
            try:
                both.append(render(text, messages, bos, eos, add_generation))
            except (Raised, jinja2.exceptions.UndefinedError):
                both.append(None)
        # Long texts (a template's own pages of default text) are kept as their hash.
        # [number of the text, what add_generation_prompt appends]; null where the program raises an exception
        if both[0] is None or both[1] is None:
            assert both == [None, None], (name, label)
            row["renders"][label] = None
        else:
            assert both[1].startswith(both[0]), (name, label)
            row["renders"][label] = [numbers.setdefault(kept(both[0]), len(numbers)), both[1][len(both[0]):]]
    return row


def main():
    found = dict(sources(sys.argv[1]))
    missing = [name for name in FAMILIES if name not in found]
    if missing:
        sys.exit("not in the data folder: %s" % missing)
    templates, numbers = {}, {}
    for name, text in found.items():
        row = entry(name, text, FAMILIES.get(name), numbers)
        templates.setdefault(row["hash"], row)  # some lie there twice
    templates = list(templates.values())
    for name, (family, text) in OWN.items():
        row = entry("own:" + name, text, family, numbers)
        row["text"] = text
        templates.append(row)
    # One item a line, so that changes can be read.
    compact = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    print('{"conversations":{\n%s},' % ",\n".join("%s:%s" % (compact(k), compact(v)) for k, v in CONVERSATIONS.items()))
    print('"texts":[\n%s],' % ",\n".join(map(compact, numbers)))
    print('"templates":[\n%s]}' % ",\n".join(map(compact, templates)))


main()
