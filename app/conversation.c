/* conversation: see conversation.h. */
#include "app/conversation.h"

#include <stdlib.h>
#include <string.h>

static void message_deinit(struct conversation_message *message)
{
    buffer_deinit(&message->text);
    buffer_deinit(&message->thought);
    buffer_deinit(&message->sent);
}

void conversation_clear(struct conversation *conversation)
{
    for (size_t i = 0; i < conversation->n; i++)
        message_deinit(&conversation->messages[i]);
    conversation->n = conversation->first = 0;
}

void conversation_deinit(struct conversation *conversation)
{
    conversation_clear(conversation);
    free(conversation->messages);
    buffer_deinit(&conversation->system);
    *conversation = (struct conversation){0};
}

enum status conversation_set_system(struct conversation *conversation, const char *text, size_t size,
                                    struct error *error)
{
    struct buffer fresh = {0};
    buffer_append(&fresh, text, size);
    if (fresh.failed) {
        buffer_deinit(&fresh);
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    buffer_deinit(&conversation->system);
    conversation->system = fresh;
    return STATUS_OK;
}

struct conversation_message *conversation_add(struct conversation *conversation, enum chat_role role, const char *text,
                                              size_t size)
{
    if (conversation->n == conversation->capacity) {
        size_t capacity = conversation->capacity ? conversation->capacity * 2 : 16;
        struct conversation_message *moved = reallocarray(conversation->messages, capacity, sizeof *moved);
        if (!moved)
            return NULL;
        conversation->messages = moved;
        conversation->capacity = capacity;
    }
    struct conversation_message *message = &conversation->messages[conversation->n];
    *message = (struct conversation_message){.role = role, .piped = size};
    buffer_append(&message->text, text, size);
    if (message->text.failed) {
        message_deinit(message);
        return NULL;
    }
    conversation->n++;
    return message;
}

enum status conversation_ask(struct conversation *conversation, struct slice question, struct slice piped,
                             struct error *error)
{
    struct conversation_message *message = conversation_add(conversation, CHAT_USER, question.data, question.size);
    if (!message)
        return error_set(error, STATUS_MEMORY, "out of memory");
    message->piped = 0;
    if (piped.size == 0)
        return STATUS_OK;
    if (question.size) {
        buffer_append_text(&message->text, "\n\n");
        message->piped = message->text.size;
    }
    buffer_append(&message->text, piped.data, piped.size);
    if (message->text.failed) {
        message_deinit(message);
        conversation->n--;
        return error_set(error, STATUS_MEMORY, "out of memory");
    }
    return STATUS_OK;
}

const struct conversation_message *conversation_last_answer(const struct conversation *conversation)
{
    for (size_t i = conversation->n; i-- > 0;)
        if (conversation->messages[i].role == CHAT_ASSISTANT && conversation->messages[i].text.size)
            return &conversation->messages[i];
    return NULL;
}
