/* chat_facts: see chat_facts.h. */
#include "engine/chat_facts.h"

#include <string.h>

static const struct {
    const char *condition;
    bool is_true;
} FACTS[] = {
    {"true==true", true},
    {"false==true", false},
    {"tools", false},
    {"tools is not none", false},
    {"tools is none", true},
    {"tools is defined", true},
    {"tools is not defined", false},
    {"tools is iterable", false},
    {"tools|length>0", false},
    {"documents", false},
    {"documents is not none", false},
    {"documents is defined", true},
    {"functions", false},
    {"functions is defined", false},
    {"functions is not none", true},
    {"custom_tools is defined", false},
    {"builtin_tools is defined", false},
    {"builtin_tools", false},
    {"json_schema", false},
    {"enable_thinking", false},
    {"enable_thinking is defined", false},
    {"thinking", false},
    {"thinking is defined", false},
    {"ns.is_tool", false},
    {"date_string is defined", false},
    {"strftime_now is defined", true},
    {"tools_in_user_message is defined", false},
    {"add_generation_prompt is defined", true},
    {"bos_token is defined", true},
    {"message.role is defined", true},
    {"message.role=='tool'", false},
    {"message.role!='tool'", true},
    {"message.role=='function'", false},
    {"message.role=='ipython'", false},
    {"message.role=='tool_results'", false},
    {"message.role=='developer'", false},
    {"message.role=='tool_response'", false},
    {"message.role=='assistant_tool_call'", false},
    {"message.content is defined", true},
    {"message.content is none", false},
    {"message.content is not none", true},
    {"message.content is string", true},
    {"message.content!=None", true},
    {"messages[0].content is string", true},
    {"message.tool_calls", false},
    {"message.tool_calls is defined", false},
    {"message.tool_calls is not defined", true},
    {"message.tool_calls|length>0", false},
    {"'tool_calls'in message", false},
    {"'tool_calls'not in message", true},
    {"message.reasoning_content", false},
    {"message.reasoning_content is defined", false},
    {"message.reasoning_content is string", false},
    {"message.prefix is defined", false},
    {"message.prefix", false},
};

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The facts about messages, ns and thinking hold as long as the template sets these to nothing else than what stands here
 * (up to the end of a line, of an argument, or all that begins so). */
bool chat_facts_hold(const struct buffer *form)
{
    static const struct {
        const char *sets;
        const char *values[6];
    } allowed[] = {
        {"is_tool=", {"false\n", "false,", "false)"}},
        {"set thinking=", {"false\n"}},
        {"set message=", {"messages["}},
        {"set messages=", {"messages["}},
        {"set loop_messages=", {"messages\n", "messages["}},
        {"for message in", {" messages\n", " messages[", " loop_messages\n"}},
        {",message in", {NULL}},
        {",message=", {NULL}},
    };
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        const char *at = buffer_text(form);
        for (; (at = strstr(at, allowed[i].sets)); at++) {
            const char *value = at + strlen(allowed[i].sets);
            bool found = false;
            for (size_t j = 0; allowed[i].values[j] && !found; j++)
                found = strncmp(value, allowed[i].values[j], strlen(allowed[i].values[j])) == 0;
            if (!found)
                return false;
        }
    }
    return true;
}

/* A fact about any other name holds as long as the form so far doesn't set it. */
static bool name_is_set(const struct buffer *form, struct slice condition)
{
    struct buffer set = {0};
    size_t size = 0;
    while (size < condition.size && is_name_byte(condition.data[size]))
        size++;
    struct slice name = {condition.data, size};
    if (size == 0 || slice_equals(name, "message") || slice_equals(name, "ns") || slice_equals(name, "thinking"))
        return false;
    buffer_printf(&set, "set %.*s=", (int)size, condition.data);
    bool found = set.failed || strstr(buffer_text(form), buffer_text(&set));
    buffer_clear(&set);
    buffer_printf(&set, "for %.*s in", (int)size, condition.data);
    found |= set.failed || strstr(buffer_text(form), buffer_text(&set));
    buffer_deinit(&set);
    return found;
}

enum truth chat_fact_find(const struct buffer *form, struct slice condition)
{
    for (size_t i = 0; i < sizeof FACTS / sizeof *FACTS; i++)
        if (slice_equals(condition, FACTS[i].condition))
            return name_is_set(form, condition) ? TRUTH_UNKNOWN : FACTS[i].is_true ? TRUTH_TRUE : TRUTH_FALSE;
    return TRUTH_UNKNOWN;
}
