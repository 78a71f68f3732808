/* chat_families: see chat_families.h.
 *
 * The texts between messages are facts of the models' training formats, as their authors' templates (the metadata of the
 * published model files) give them; tests/make_chat_golden.py holds every row against a reference engine for templates. */
#include "engine/chat_families.h"

#include <stddef.h>
#include <string.h>

/* ChatML's turns: https://github.com/openai/openai-python/blob/release-v0.28.0/chatml.md */
#define CHATML_TURNS                                                                                                   \
    .before = {"<|im_start|>system\n", "<|im_start|>user\n", "<|im_start|>assistant\n"},                               \
    .after = {"<|im_end|>\n", "<|im_end|>\n", "<|im_end|>\n"}, .turn_end = "<|im_end|>"
#define CHATML_ASKED .generation = "<|im_start|>assistant\n"

#define LLAMA3_SYSTEM "<|start_header_id|>system<|end_header_id|>\n\n"
#define LLAMA3_TURNS                                                                                                   \
    .before = {LLAMA3_SYSTEM, "<|start_header_id|>user<|end_header_id|>\n\n",                                          \
               "<|start_header_id|>assistant<|end_header_id|>\n\n"},                                                   \
    .after = {"<|eot_id|>", "<|eot_id|>", "<|eot_id|>"},                                                               \
    .generation = "<|start_header_id|>assistant<|end_header_id|>\n\n", .turn_end = "<|eot_id|>"

#define THINK_MARKS .think_open = "<think>", .think_close = "</think>"

#define LLAMA31_BEGIN BOS LLAMA3_SYSTEM
/* What the template gives where nobody tells the date: its own example. */
#define LLAMA31_DATE    "26 Jul 2024\n\n"
#define LLAMA31_DEFAULT "Cutting Knowledge Date: December 2023\nToday Date: "

#define DEEPSEEK_CODER_TURNS                                                                                           \
    .before = {"", "### Instruction:\n", "### Response:\n"}, .after = {"", "\n", "\n<|EOT|>\n"},                       \
    .generation = "### Response:\n", .turn_end = "<|EOT|>",                                                            \
    .default_system =                                                                                                  \
        "You are an AI programming assistant, utilizing the Deepseek Coder model, developed by Deepseek Company, "     \
        "and you only answer questions related to computer science. For politically sensitive questions, security "    \
        "and privacy issues, and other non-computer science questions, you will refuse to answer\n"

#define DEEPSEEK_USER      "<｜User｜>"
#define DEEPSEEK_ASSISTANT "<｜Assistant｜>"
#define DEEPSEEK_END       "<｜end▁of▁sentence｜>"

#define MISTRAL_TURNS(space, closing, answer)                                                                          \
    .begin = BOS, .before = {"", space "[INST] ", answer}, .after = {"\n\n", closing "[/INST]", EOS}

enum row {
    CHATML,
    CHATML_BOS,
    CHATML_DEFAULT,
    QWEN2,
    SMOLLM2,
    QWEN25,
    QWEN3,
    QWEN3_MARKS_INSIDE,
    QWEN3_THINKING,
    QWQ,
    QWQ_SHUT,
    YI,
    DEEPSEEK_CODER,
    DEEPSEEK_CODER_ALWAYS,
    DEEPSEEK_CODER_PLAIN,
    DEEPSEEK_V2,
    DEEPSEEK_V25,
    DEEPSEEK_V3,
    DEEPSEEK_V3_TURNS,
    DEEPSEEK_V31,
    DEEPSEEK_V31_OPEN,
    DEEPSEEK_R1,
    DEEPSEEK_R1_OPEN,
    DEEPSEEK_R1_SHUT,
    DEEPSEEK_R1_TURNS,
    DEEPSEEK_R1_JOINED,
    DEEPSEEK_R1_JOINED_OPEN,
    DEEPSEEK_R1_0528,
    LLAMA2,
    LLAMA2_BOS_ONCE,
    LLAMA3,
    LLAMA3_ALWAYS,
    LLAMA31,
    MISTRAL_V0,
    MISTRAL_V0_SPACE,
    MISTRAL_V1,
    MISTRAL_V3,
    MISTRAL_V3_TEKKEN,
    MISTRAL_V7,
    MISTRAL_V7_TEKKEN,
    STARCODER2,
    GEMMA,
    GEMMA_PLAIN,
    GEMMA3,
};

static const struct chat_family FAMILIES[] = {
    [CHATML] = {.name = "chatml", CHATML_TURNS, CHATML_ASKED},
    [CHATML_BOS] = {.name = "chatml", .begin = BOS, CHATML_TURNS, CHATML_ASKED},
    [CHATML_DEFAULT] =
        {.name = "chatml", CHATML_TURNS, CHATML_ASKED, .fallback = DEFAULT_UNLESS_FIRST, .default_system = ""},
    [QWEN2] = {.name = "chatml",
               CHATML_TURNS,
               CHATML_ASKED,
               .fallback = DEFAULT_UNLESS_FIRST,
               .default_system = "You are a helpful assistant."},
    [SMOLLM2] = {.name = "smollm2",
                 CHATML_TURNS,
                 CHATML_ASKED,
                 .fallback = DEFAULT_UNLESS_FIRST,
                 .default_system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"},
    [QWEN25] = {.name = "qwen2.5",
                CHATML_TURNS,
                CHATML_ASKED,
                .fallback = DEFAULT_UNLESS_FIRST,
                .default_system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."},
    [QWEN3] = {.name = "qwen3", CHATML_TURNS, CHATML_ASKED, THINK_MARKS, .think = THINK_QWEN3},
    [QWEN3_MARKS_INSIDE] =
        {.name = "qwen3", CHATML_TURNS, CHATML_ASKED, THINK_MARKS, .think = THINK_QWEN3, .flags = TOOL_MARKS_INSIDE},
    [QWEN3_THINKING] = {.name = "qwen3",
                        CHATML_TURNS,
                        THINK_MARKS,
                        .think = THINK_QWEN3,
                        .generation = "<|im_start|>assistant\n<think>\n",
                        .think_starts_inside = true},
    [QWQ] = {.name = "qwq",
             CHATML_TURNS,
             THINK_MARKS,
             .think = THINK_CUT_PAST,
             .generation = "<|im_start|>assistant\n<think>\n",
             .think_starts_inside = true},
    [QWQ_SHUT] = {.name = "qwq",
                  CHATML_TURNS,
                  THINK_MARKS,
                  .think = THINK_CUT_PAST,
                  .generation = "<|im_start|>assistant\n<think>\n</think>"},
    [YI] = {.name = "yi",
            .before = {"", "<|im_start|>user\n", ""},
            .after = {"", "<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>\n"},
            .turn_end = "<|im_end|>",
            .system = SYSTEM_TOP_FIRST,
            .generates = GENERATION_NEVER},
    [DEEPSEEK_CODER] = {.name = "deepseek-coder", .begin = BOS, DEEPSEEK_CODER_TURNS, .fallback = DEFAULT_UNLESS_ANY},
    [DEEPSEEK_CODER_ALWAYS] = {.name = "deepseek-coder",
                               .begin = BOS,
                               DEEPSEEK_CODER_TURNS,
                               .fallback = DEFAULT_UNLESS_ANY,
                               .generates = GENERATION_ALWAYS},
    /* Its flag is set inside of a loop, where Jinja forgets it: the default text always comes. */
    [DEEPSEEK_CODER_PLAIN] = {.name = "deepseek-coder",
                              DEEPSEEK_CODER_TURNS,
                              .fallback = DEFAULT_ALWAYS,
                              .generates = GENERATION_ALWAYS},
    [DEEPSEEK_V2] = {.name = "deepseek-v2",
                     .begin = BOS,
                     .before = {"", "User: ", "Assistant: "},
                     .after = {"\n\n", "\n\n", EOS},
                     .generation = "Assistant:",
                     .turn_end = DEEPSEEK_END},
    [DEEPSEEK_V25] = {.name = "deepseek-v2.5",
                      .begin = BOS,
                      .before = {"", DEEPSEEK_USER, DEEPSEEK_ASSISTANT},
                      .after = {"", "", DEEPSEEK_END},
                      .generation = DEEPSEEK_ASSISTANT,
                      .turn_end = DEEPSEEK_END,
                      .system = SYSTEM_TOP_LAST},
    [DEEPSEEK_V3] = {.name = "deepseek-v3",
                     .begin = BOS,
                     .before = {"", DEEPSEEK_USER, DEEPSEEK_ASSISTANT},
                     .after = {"", "", DEEPSEEK_END},
                     .generation = DEEPSEEK_ASSISTANT,
                     .turn_end = DEEPSEEK_END,
                     .system = SYSTEM_TOP_JOINED},
    /* A user's turn ends with what opens the answer. */
    [DEEPSEEK_V3_TURNS] = {.name = "deepseek-v3",
                           .begin = BOS,
                           .before = {"", DEEPSEEK_USER, ""},
                           .after = {"", DEEPSEEK_ASSISTANT, DEEPSEEK_END},
                           .generation = DEEPSEEK_ASSISTANT,
                           .turn_end = DEEPSEEK_END,
                           .system = SYSTEM_TOP_JOINED,
                           .generates = GENERATION_UNLESS_USER},
#define DEEPSEEK_V31_TURNS(mark)                                                                                       \
    .begin = BOS, .before = {"", DEEPSEEK_USER, DEEPSEEK_ASSISTANT mark}, .after = {"", "", DEEPSEEK_END},             \
    .generation = DEEPSEEK_ASSISTANT mark, .turn_end = DEEPSEEK_END, THINK_MARKS, .think = THINK_CUT_FIRST,            \
    .system = SYSTEM_TOP_JOINED, .generates = GENERATION_AFTER_USER, .flags = OPENS_AFTER_USER
    [DEEPSEEK_V31] = {.name = "deepseek-v3.1", DEEPSEEK_V31_TURNS("</think>")},
    [DEEPSEEK_V31_OPEN] = {.name = "deepseek-v3.1", DEEPSEEK_V31_TURNS("<think></think>")},
#define DEEPSEEK_R1_COMMON                                                                                             \
    .begin = BOS, .before = {"", DEEPSEEK_USER, DEEPSEEK_ASSISTANT}, .turn_end = DEEPSEEK_END, THINK_MARKS,            \
    .think = THINK_CUT
    [DEEPSEEK_R1] = {.name = "deepseek-r1",
                     DEEPSEEK_R1_COMMON,
                     .system = SYSTEM_TOP_LAST,
                     .after = {"", "", DEEPSEEK_END},
                     .generation = DEEPSEEK_ASSISTANT "<think>\n",
                     .think_starts_inside = true},
    [DEEPSEEK_R1_OPEN] = {.name = "deepseek-r1",
                          DEEPSEEK_R1_COMMON,
                          .system = SYSTEM_TOP_LAST,
                          .after = {"", "", DEEPSEEK_END},
                          .generation = DEEPSEEK_ASSISTANT},
    [DEEPSEEK_R1_SHUT] = {.name = "deepseek-r1",
                          DEEPSEEK_R1_COMMON,
                          .system = SYSTEM_TOP_LAST,
                          .after = {"", "", DEEPSEEK_END},
                          .generation = DEEPSEEK_ASSISTANT "<think>\n</think>"},
    [DEEPSEEK_R1_TURNS] = {.name = "deepseek-r1",
                           DEEPSEEK_R1_COMMON,
                           .system = SYSTEM_TOP_LAST,
                           .after = {"", DEEPSEEK_END, DEEPSEEK_END},
                           .empty_assistant =
                               DEEPSEEK_ASSISTANT "<｜tool▁calls▁begin｜><｜tool▁calls▁end｜>" DEEPSEEK_END,
                           .generation = DEEPSEEK_ASSISTANT "<think>\n",
                           .think_starts_inside = true},
    [DEEPSEEK_R1_JOINED] = {.name = "deepseek-r1",
                            DEEPSEEK_R1_COMMON,
                            .after = {"", "", DEEPSEEK_END},
                            .system = SYSTEM_TOP_JOINED,
                            .generation = DEEPSEEK_ASSISTANT "<think>\n",
                            .think_starts_inside = true},
    [DEEPSEEK_R1_JOINED_OPEN] = {.name = "deepseek-r1",
                                 DEEPSEEK_R1_COMMON,
                                 .after = {"", "", DEEPSEEK_END},
                                 .system = SYSTEM_TOP_JOINED,
                                 .generation = DEEPSEEK_ASSISTANT},
    [DEEPSEEK_R1_0528] = {.name = "deepseek-r1",
                          .begin = BOS,
                          .before = {"", DEEPSEEK_USER, ""},
                          .after = {"", DEEPSEEK_ASSISTANT, DEEPSEEK_END},
                          .generation = DEEPSEEK_ASSISTANT,
                          .turn_end = DEEPSEEK_END,
                          THINK_MARKS,
                          .think = THINK_CUT,
                          .system = SYSTEM_TOP_JOINED,
                          .generates = GENERATION_UNLESS_USER},
    [LLAMA2] = {.name = "llama2",
                .before = {"<<SYS>>\n", BOS "[INST] ", " "},
                .after = {"\n<</SYS>>\n\n", " [/INST]", " " EOS},
                .system = SYSTEM_IN_FIRST_USER,
                .flags = ALTERNATES | TRIM_JOINED | TRIM_ASSISTANT},
    [LLAMA2_BOS_ONCE] = {.name = "llama2",
                         .begin = BOS,
                         .before = {"<<SYS>>\n", "[INST] ", " "},
                         .after = {"\n<</SYS>>\n\n", " [/INST]", " " EOS},
                         .system = SYSTEM_IN_FIRST_USER,
                         .fallback = DEFAULT_UNLESS_MARKED,
                         .default_system = "",
                         .late_before = "<<SYS>>\n",
                         .late_after = "\n<</SYS>>\n\n",
                         .flags = ALTERNATES | TRIM_JOINED | TRIM_ASSISTANT | TRIM_SYSTEM},
    [LLAMA3] = {.name = "llama3", .begin = BOS, LLAMA3_TURNS, .flags = TRIM_ALL},
    [LLAMA3_ALWAYS] = {.name = "llama3", .begin = BOS, LLAMA3_TURNS, .generates = GENERATION_ALWAYS, .flags = TRIM_ALL},
    [LLAMA31] = {.name = "llama3.1",
                 LLAMA3_TURNS,
                 .begin = LLAMA31_BEGIN,
                 .default_system = LLAMA31_DEFAULT,
                 .header = LLAMA31_DATE,
                 .system = SYSTEM_HEADER,
                 .late_before = LLAMA3_SYSTEM,
                 .late_after = "<|eot_id|>",
                 .flags = TRIM_ALL},
    [MISTRAL_V0] = {.name = "mistral-v0",
                    MISTRAL_TURNS("", " ", ""),
                    .system = SYSTEM_REFUSED,
                    .flags = ALTERNATES | LATE_REFUSED},
    [MISTRAL_V0_SPACE] = {.name = "mistral-v0",
                          .begin = BOS,
                          .before = {"", "[INST] ", ""},
                          .after = {"", " [/INST]", EOS " "},
                          .system = SYSTEM_REFUSED,
                          .flags = ALTERNATES | LATE_REFUSED},
    [MISTRAL_V1] = {.name = "mistral-v1",
                    MISTRAL_TURNS(" ", " ", " "),
                    .system = SYSTEM_IN_FIRST_USER,
                    .flags = ALTERNATES | LATE_REFUSED},
    [MISTRAL_V3] = {.name = "mistral-v3",
                    MISTRAL_TURNS("", "", " "),
                    .system = SYSTEM_IN_LAST_USER,
                    .flags = ALTERNATES | LATE_REFUSED | TRIM_ASSISTANT},
    [MISTRAL_V3_TEKKEN] = {.name = "mistral-nemo",
                           .begin = BOS,
                           .before = {"", "[INST]", ""},
                           .after = {"\n\n", "[/INST]", EOS},
                           .system = SYSTEM_IN_LAST_USER,
                           .flags = ALTERNATES | LATE_REFUSED},
    [MISTRAL_V7] = {.name = "mistral-v7",
                    .begin = BOS,
                    .before = {"[SYSTEM_PROMPT] ", "[INST] ", " "},
                    .after = {"[/SYSTEM_PROMPT]", "[/INST]", EOS}},
    [MISTRAL_V7_TEKKEN] = {.name = "devstral",
                           .begin = BOS,
                           .before = {"[SYSTEM_PROMPT]", "[INST]", ""},
                           .after = {"[/SYSTEM_PROMPT]", "[/INST]", EOS},
                           .fallback = DEFAULT_UNLESS_FIRST,
                           .default_system = ""},
    [STARCODER2] = {.name = "starcoder2",
                    .begin = BOS,
                    .default_system = "You are an exceptionally intelligent coding assistant that consistently "
                                      "delivers accurate and reliable responses to user instructions.\n\n",
                    .before = {"", "### Instruction\n", "### Response\n"},
                    .after = {"", "\n\n", EOS "\n\n"},
                    .generation = "### Response\n",
                    .system = SYSTEM_REFUSED,
                    .fallback = DEFAULT_ALWAYS,
                    .generates = GENERATION_ALWAYS,
                    .flags = LATE_REFUSED},
#define GEMMA_TURNS                                                                                                    \
    .before = {"", "<start_of_turn>user\n", "<start_of_turn>model\n"},                                                 \
    .after = {"\n\n", "<end_of_turn>\n", "<end_of_turn>\n"}, .generation = "<start_of_turn>model\n",                   \
    .late_before = "<start_of_turn>system\n", .late_after = "<end_of_turn>\n", .turn_end = "<end_of_turn>",            \
    .flags = ALTERNATES | TRIM_ALL
    [GEMMA] = {.name = "gemma", .begin = BOS, GEMMA_TURNS, .system = SYSTEM_REFUSED},
    [GEMMA_PLAIN] = {.name = "gemma", GEMMA_TURNS, .system = SYSTEM_REFUSED},
    [GEMMA3] = {.name = "gemma3", .begin = BOS, GEMMA_TURNS, .system = SYSTEM_IN_FIRST_USER},
};

/* Hashes of normal forms.  One that has several rows means the one with the same default text, or else the last. */
static const struct {
    uint64_t hash;
    enum row row;
} FORMS[] = {
    {0x2d359a860823392b, CHATML},                  /* OpenHermes, many others */
    {0xde84506927a10d05, CHATML},                  /* AutoTrain's */
    {0x1a4042d55301c506, CHATML},                  /* Qwen3-Coder */
    {0x4cdf22f2756cd574, CHATML},                  /* Qwen3 Instruct 2507 */
    {0xc08e4825af1778a8, CHATML_BOS},              /* Dolphin 2.8 */
    {0x6abc73a8083abfa5, SMOLLM2},                 /* SmolLM2 */
    {0x6abc73a8083abfa5, QWEN2},                   /* Qwen2 */
    {0x6abc73a8083abfa5, CHATML_DEFAULT},          /* Qwen1.5, others */
    {0x0a1a06053b739821, QWEN25},                  /* Qwen2.5, Qwen2.5-Coder */
    {0x0a1a06053b739821, CHATML_DEFAULT},          /* MiMo-VL */
    {0xdfc1d3a28fe6efdb, QWEN3},                   /* Qwen3 */
    {0xa8467bac5ce84f2b, QWEN3_MARKS_INSIDE},      /* unsloth's Qwen3 */
    {0x7246f4553c7c2675, QWEN3_THINKING},          /* Qwen3 Thinking 2507 */
    {0x5fd7d57f16e794eb, QWQ},                     /* QwQ */
    {0x85a64130366008b9, QWQ_SHUT},                /* QwQ with a switch for thinking */
    {0x14beb13c2d4a435a, YI},                      /* Yi-1.5 */
    {0x88edc958ba78cd67, DEEPSEEK_CODER},          /* DeepSeek-Coder v1 */
    {0x0cbbce711d623ff3, DEEPSEEK_CODER_ALWAYS},   /* its older form */
    {0xf04893fae38c1e8d, DEEPSEEK_CODER_PLAIN},    /* the oldest */
    {0xf5c4d697f816085e, DEEPSEEK_V2},             /* DeepSeek-V2, V2-Lite, Coder-V2 */
    {0x4f1f783d9852cb86, DEEPSEEK_V25},            /* DeepSeek-V2.5 */
    {0x76f4e4bbecadfb1f, DEEPSEEK_V25},            /* R1-Distill, open-r1's */
    {0xdc6bde432d5c28c2, DEEPSEEK_V3},             /* DeepSeek-V3 */
    {0x8e5598e0636636b3, DEEPSEEK_V3},             /* another */
    {0x23d3f53da5dbb248, DEEPSEEK_V3_TURNS},       /* DeepSeek-V3-0324 */
    {0xb8d634f7d14b9590, DEEPSEEK_V31},            /* DeepSeek-V3.1 */
    {0x4c6cd850c8c096a6, DEEPSEEK_V31_OPEN},       /* llama.cpp's for V3.1 */
    {0xea5c3f133f1ea850, DEEPSEEK_R1},             /* R1-Distill */
    {0xa956a01fcad570a2, DEEPSEEK_R1_OPEN},        /* R1-Distill as first published */
    {0x8961ab1eca0f6e77, DEEPSEEK_R1_SHUT},        /* with a switch for thinking */
    {0xa086fe0a29398678, DEEPSEEK_R1_TURNS},       /* llama.cpp's for R1 */
    {0x6425aa14811bf07c, DEEPSEEK_R1_JOINED},      /* R1 */
    {0x4cc7de4f70ee69e6, DEEPSEEK_R1_JOINED_OPEN}, /* R1 as first published */
    {0x0941584a0862bc27, DEEPSEEK_R1_0528},        /* R1-0528 */
    {0xc7d7f9c066eb70c6, LLAMA2},                  /* Llama 2 */
    {0xc8c734201b40297a, LLAMA2_BOS_ONCE},         /* Vigogne-2 */
    {0x9ee7e62c2809d40e, LLAMA3},                  /* Llama 3 */
    {0x28266bf50cc8a666, LLAMA3_ALWAYS},           /* as first published */
    {0x3b2a2a30643b2c2f, LLAMA31},                 /* Llama 3.1, 3.3 */
    {0x44e546641380cf7c, LLAMA31},                 /* Llama 3.2 */
    {0x7eb48f3b192015b3, MISTRAL_V0},              /* Mistral-7B-Instruct-v0.2, Mixtral */
    {0xa39f205a87fc2832, MISTRAL_V0_SPACE},        /* Mistral-7B-Instruct-v0.1 */
    {0x30fea54bd8a2c501, MISTRAL_V1},              /* v0.2, later form */
    {0x524ccb16c06da82f, MISTRAL_V3},              /* Mistral-Large-Instruct-2407 */
    {0x4fc31274e0dc1992, MISTRAL_V3_TEKKEN},       /* Mistral-Nemo */
    {0xb0ecfa24fe4cd34c, MISTRAL_V7},              /* Mistral-Large-Instruct-2411 */
    {0x6b9998557860df08, MISTRAL_V7_TEKKEN},       /* Devstral */
    {0xaa5e834f3c8825e6, STARCODER2},              /* StarCoder2-15B-Instruct */
    {0xcc08d7568b0e020c, GEMMA},                   /* Gemma 2 */
    {0x1aa8e1aa08f45489, GEMMA_PLAIN},             /* Gemma, first form */
    {0x353d54727c9f36ae, GEMMA3},                  /* Gemma 3 */
};

const struct chat_family *chat_family_at(size_t i)
{
    return i < sizeof FAMILIES / sizeof *FAMILIES ? &FAMILIES[i] : NULL;
}

const struct chat_family *chat_family_by_form(uint64_t hash, const char *default_system)
{
    const struct chat_family *found = NULL;
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++) {
        if (FORMS[i].hash != hash)
            continue;
        found = &FAMILIES[FORMS[i].row];
        if (found->default_system && default_system && strcmp(found->default_system, default_system) == 0)
            break;
    }
    return found;
}
