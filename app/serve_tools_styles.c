/* serve_tools_styles: see serve_tools_styles.h.
 *
 * Sources: the chat templates in the model repositories of Qwen2.5 and Qwen3 (Hermes' syntax), Llama 3.1, Mistral (v3
 * tokenizer), DeepSeek-V3 and V3.1.  Two things differ from them, as messages are rendered without knowing of tools: Mistral's
 * list stands in the system text, and results of Llama, Mistral and DeepSeek in a user's turn. */
#include "app/serve_tools_styles.h"

#define DEEPSEEK_MARKS                                                                                                 \
    "\n<｜tool▁calls▁begin｜>\n<｜tool▁calls▁end｜>\n<｜tool▁call▁begin｜>\n<｜tool▁call▁end｜>\n<｜tool▁sep｜>\n"

#define DEEPSEEK_LIST "\n\n## Tools\nYou have access to the following tools:\n"

#define DEEPSEEK_RULES                                                                                                 \
    "\n\nWhere:\n\n- `tool_call_name` must be an exact match to one of the available tools\n- `tool_call_arguments` "  \
    "must be valid JSON that strictly follows the tool's Parameters Schema\n- For multiple tool calls, chain them "    \
    "directly without separators or spaces\n"

const struct tool_style tool_styles[] = {
    {.templates = "|llama3|llama3.1|",
     .before = "\n\nYou have access to the following functions. To call a function, please respond with JSON for a "
               "function call. Respond in the format {\"name\": function name, \"parameters\": dictionary of argument "
               "name and its value}. Do not use variables.\n\n",
     .between = "\n\n",
     .after = "\n\n",
     .open = "<|python_tag|>",
     .call_open = "",
     .call_between = "; ",
     .call_close = "",
     .arguments = "parameters",
     .result_open = "",
     .result_close = "",
     .marks = "\n<|python_tag|>\n",
     .is_bare = true},
    {.templates = "|mistral-v1|mistral-v3|",
     .before = MARK "[AVAILABLE_TOOLS]" MARK " [",
     .between = ", ",
     .after = "]" MARK "[/AVAILABLE_TOOLS]" MARK,
     .open = "[TOOL_CALLS]",
     .call_open = MARK "[TOOL_CALLS]" MARK " [",
     .call_between = ", ",
     .call_close = "]",
     .arguments = "arguments",
     .result_open = MARK "[TOOL_RESULTS]" MARK " {\"content\": ",
     .result_close = "}" MARK "[/TOOL_RESULTS]" MARK,
     .results_are_json = true,
     .marks = "\n[TOOL_CALLS]\n"},
    {.templates = "|mistral-nemo|mistral-v7|devstral|",
     .before = MARK "[AVAILABLE_TOOLS]" MARK "[",
     .between = ", ",
     .after = "]" MARK "[/AVAILABLE_TOOLS]" MARK,
     .open = "[TOOL_CALLS]",
     .call_open = MARK "[TOOL_CALLS]" MARK "[",
     .call_between = ", ",
     .call_close = "]",
     .arguments = "arguments",
     .result_open = MARK "[TOOL_RESULTS]" MARK "{\"content\": ",
     .result_close = "}" MARK "[/TOOL_RESULTS]" MARK,
     .results_are_json = true,
     .marks = "\n[TOOL_CALLS]\n"},
    {.templates = "|deepseek-v3.1|",
     .before = DEEPSEEK_LIST,
     .between = "",
     .is_listed_by_name = true,
     .after = "\n\nIMPORTANT: ALWAYS adhere to this exact format for tool use:\n" MARK
              "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>" MARK "tool_call_name" MARK "<｜tool▁sep｜>" MARK
              "tool_call_arguments" MARK "<｜tool▁call▁end｜>" MARK "{additional_tool_calls}" MARK
              "<｜tool▁calls▁end｜>" MARK DEEPSEEK_RULES,
     .open = "<｜tool▁calls▁begin｜>",
     .close = "<｜tool▁calls▁end｜>",
     .call_open = MARK "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>" MARK,
     .call_between = MARK "<｜tool▁call▁end｜><｜tool▁call▁begin｜>" MARK,
     .call_close = MARK "<｜tool▁call▁end｜><｜tool▁calls▁end｜>" MARK,
     .name_end = MARK "<｜tool▁sep｜>" MARK,
     .result_open = MARK "<｜tool▁output▁begin｜>" MARK,
     .result_close = MARK "<｜tool▁output▁end｜>" MARK,
     .marks = DEEPSEEK_MARKS},
    {.templates = "|deepseek-v3|deepseek-r1|",
     .before = DEEPSEEK_LIST,
     .between = "",
     .is_listed_by_name = true,
     .after = "\n\nIMPORTANT: ALWAYS adhere to this exact format for tool use:\n" MARK
              "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>" MARK "function" MARK "<｜tool▁sep｜>" MARK
              "tool_call_name\n```json\ntool_call_arguments\n```" MARK "<｜tool▁call▁end｜>" MARK
              "{additional_tool_calls}" MARK "<｜tool▁calls▁end｜>" MARK DEEPSEEK_RULES,
     .open = "<｜tool▁calls▁begin｜>",
     .close = "<｜tool▁calls▁end｜>",
     .call_open = MARK "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>" MARK "function" MARK "<｜tool▁sep｜>" MARK,
     .call_between =
         "\n```" MARK "<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>" MARK "function" MARK "<｜tool▁sep｜>" MARK,
     .call_close = "\n```" MARK "<｜tool▁call▁end｜><｜tool▁calls▁end｜>" MARK,
     .name_end = "\n```json\n",
     .result_open = MARK "<｜tool▁output▁begin｜>" MARK,
     .result_close = MARK "<｜tool▁output▁end｜>" MARK,
     .marks = DEEPSEEK_MARKS},
    {.before = "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided "
               "with function signatures within <tools></tools> XML tags:\n<tools>\n",
     .between = "\n",
     .after = "\n</tools>\n\nFor each function call, return a json object with function name and arguments within " MARK
              "<tool_call></tool_call>" MARK " XML tags:\n" MARK "<tool_call>" MARK
              "\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n" MARK "</tool_call>" MARK,
     .open = "<tool_call>",
     .close = "</tool_call>",
     .call_open = MARK "<tool_call>" MARK "\n",
     .call_between = "\n" MARK "</tool_call>" MARK "\n" MARK "<tool_call>" MARK "\n",
     .call_close = "\n" MARK "</tool_call>" MARK,
     .arguments = "arguments",
     .result_open = MARK "<tool_response>" MARK "\n",
     .result_close = "\n" MARK "</tool_response>" MARK,
     .marks = "\n<tool_call>\n</tool_call>\n"},
};
