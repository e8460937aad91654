#include "core/text/template_parts.h"

/* Jinja texts are written anew; they render what the published ones render. */

#define IM_START TOKEN_TURN_START
#define IM_END   TOKEN_TURN_END

#define CHATML_JINJA                                                                                         \
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "       \
    "'<|im_end|>\\n' "                                                                                       \
    "}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

/* ChatML, and the same with a system prompt of the model's own where a chat has none. */
#define CHATML                                                                                               \
    .needs = {IM_START, IM_END}, .end = IM_END, .begin = "", .between = "\n",                                \
    .system = {IM_START "system\n", IM_END}, .user = {IM_START "user\n", IM_END},                            \
    .head = IM_START "assistant\n", .answer = {"", ""}, .text_is_turn = 1
#define CHATML_WITH(NAME, SYSTEM)                                                                            \
    {                                                                                                        \
        .name = NAME, CHATML, .system_default = SYSTEM, .has = {IM_START, IM_END},                           \
        .lacks = {"bos_token", "<|im_sep|>"},                                                                \
        .jinja =                                                                                             \
            "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\n" SYSTEM "<|im_end|>\\n' }}"   \
            "{% endif %}" CHATML_JINJA                                                                       \
    }

#define HEADER(ROLE) "<|start_header_id|>" ROLE "<|end_header_id|>\n\n"
#define LLAMA3                                                                                               \
    .needs = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, .bos = "<|begin_of_text|>",         \
    .end = "<|eot_id|>", .begin = BOS, .between = "", .system = {HEADER("system"), "<|eot_id|>"},            \
    .user = {HEADER("user"), "<|eot_id|>"}, .head = HEADER("assistant"), .answer = {"", ""}, .trims = ~0,    \
    .text_is_turn = 1
#define LLAMA3_TURNS(LIST)                                                                                   \
    "{% for message in " LIST " %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + " \
    "message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ "               \
    "'<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
/* The date is the text's own, which holds where the program that uses it says none. */
#define LLAMA31_PREFACE "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"

/* Puts a first message of the system aside: `rest` are the others. */
#define SET_REST "{% set rest = messages[1:] if messages[0]['role'] == 'system' else messages %}"

const chat_template template_table[] = {
    {
        .name = "plain",
        .eos = TOKEN_END_OF_TEXT,
        .end = TOKEN_END_OF_TEXT,
        .begin = "",
        .begins_as_texts = 1,
        .between = "",
        .system = {"\n\nSystem: ", ""},
        .user = {"\n\nHuman: ", ""},
        .head = "\n\nAssistant: ",
        .answer = {"", ""},
        .has = {"\\n\\nHuman: ", "\\n\\nAssistant: "},
        .jinja = "{% for message in messages %}{% if message['role'] == 'system' %}{{ '\\n\\nSystem: ' + "
                 "message['content'] }}{% elif message['role'] == 'user' %}{{ '\\n\\nHuman: ' + "
                 "message['content'] }}{% else %}{{ "
                 "'\\n\\nAssistant: ' + message['content'] + '<|endoftext|>' }}{% endif %}{% endfor %}{% if "
                 "add_generation_prompt %}{{ '\\n\\nAssistant: ' }}{% endif %}",
    },
    {
        .name = "chatml",
        CHATML,
        .has = {IM_START},
        .lacks = {"bos_token", "<|im_sep|>", "strftime", "set system_message", "truncate_history",
                  "<think>\\n' }}", "You are a helpful", "You are Qwen"},
        .jinja = CHATML_JINJA,
    },
    CHATML_WITH("qwen2", "You are a helpful assistant."),
    CHATML_WITH("qwen2.5", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
    CHATML_WITH("smollm2", "You are a helpful AI assistant named SmolLM, trained by Hugging Face"),
    {
        .name = "llama2",
        .bos = "<s>",
        .eos = "</s>",
        .end = EOS,
        .begin = "",
        .between = "",
        .user = {BOS "[INST] ", " [/INST]"},
        .head = "",
        .answer = {" ", " "},
        .folded = {"<<SYS>>\n", "\n<</SYS>>\n\n"},
        .trims = 1 << ROLE_USER | 1 << ROLE_ASSISTANT,
        .alternates = 1,
        .text_is_turn = 1,
        .has = {"bos_token + '[INST] '", "<<SYS>>", "' ' + eos_token"},
        .jinja = SET_REST
        "{% if messages[0]['role'] == 'system' %}{% set first = '<<SYS>>\\n' + messages[0]['content'] + "
        "'\\n<</SYS>>\\n\\n' %}{% else %}{% set first = '' %}{% endif %}{% for message in rest %}{% if "
        "message['role'] == 'user' %}{{ bos_token + '[INST] ' + ((first if loop.first else '') + "
        "message['content']) "
        "| trim + ' [/INST]' }}{% else %}{{ ' ' + message['content'] | trim + ' ' + eos_token }}{% endif "
        "%}{% endfor "
        "%}",
    },
    {
        .name = "llama3",
        LLAMA3,
        .has = {"<|start_header_id|>", "<|eot_id|>", "bos_token", "trim"},
        .lacks = {"Cutting Knowledge Date", "tools", "functions"},
        .jinja = "{{ bos_token }}" LLAMA3_TURNS("messages"),
    },
    {
        .name = "llama3.1",
        LLAMA3,
        .system_default = "",
        .preface = LLAMA31_PREFACE,
        .has = {"<|start_header_id|>", "<|eot_id|>", "Cutting Knowledge Date: December 2023", "26 Jul 2024"},
        .jinja = SET_REST
        "{{ bos_token + '<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date: December "
        "2023\\nToday Date: 26 Jul 2024\\n\\n' }}{% if messages[0]['role'] == 'system' %}{{ "
        "messages[0]['content'] | "
        "trim }}{% endif %}{{ '<|eot_id|>' }}" LLAMA3_TURNS("rest"),
    },
    {
        .name = "mistral",
        .bos = "<s>",
        .eos = "</s>",
        .end = EOS,
        .begin = BOS,
        .between = "",
        .user = {" [INST] ", " [/INST]"},
        .head = "",
        .answer = {" ", ""},
        .folded = {"", "\n\n"},
        .alternates = 1,
        .text_is_turn = 1,
        .has = {"' [INST] '", "' [/INST]'", "' ' + message['content'] + eos_token"},
        .lacks = {"<<SYS>>", "AVAILABLE_TOOLS"},
        .jinja = SET_REST
        "{{ bos_token }}{% for message in rest %}{% if message['role'] == 'user' %}{{ ' [INST] ' }}{% if "
        "loop.first "
        "and messages[0]['role'] == 'system' %}{{ messages[0]['content'] + '\\n\\n' }}{% endif %}{{ "
        "message['content'] + ' [/INST]' }}{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% "
        "endfor "
        "%}",
    },
    {
        .name = "mistral-v3",
        .needs = {"[INST]", "[/INST]"},
        .bos = "<s>",
        .eos = "</s>",
        .end = EOS,
        .begin = BOS,
        .between = "",
        .user = {"[INST] ", "[/INST]"},
        .head = "",
        .answer = {" ", ""},
        .without_system = "the published text moves it from turn to turn; put it into the user's message",
        .trims = 1 << ROLE_ASSISTANT,
        .alternates = 1,
        .text_is_turn = 1,
        .has = {"\"[INST] \" + ", "\"[/INST]\"", "\" \" + message[\"content\"]|trim + eos_token"},
        .jinja =
            "{{ bos_token }}{% for message in messages %}{% if message[\"role\"] == \"system\" %}{{ "
            "raise_exception(\"System role not supported\") }}{% elif message[\"role\"] == \"user\" %}{{ "
            "\"[INST] \" + message[\"content\"] + \"[/INST]\" }}{% else %}{{ \" \" + "
            "message[\"content\"]|trim + "
            "eos_token }}{% endif %}{% endfor %}",
    },
    {
        .name = "zephyr",
        .eos = "</s>",
        .end = EOS,
        .begin = "",
        .between = "\n",
        .system = {"<|system|>\n", EOS},
        .user = {"<|user|>\n", EOS},
        .head = "<|assistant|>\n",
        .answer = {"", ""},
        .text_is_turn = 1,
        .has = {"'<|system|>", "'<|user|>", "'<|assistant|>", "message['content'] + eos_token"},
        .lacks = {"bos_token", "<|end|>", "trim"},
        .jinja =
            "{% for message in messages %}{% if message['role'] == 'system' %}{{ '<|system|>\\n' }}{% elif "
            "message['role'] == 'user' %}{{ '<|user|>\\n' }}{% else %}{{ '<|assistant|>\\n' }}{% endif %}{{ "
            "message['content'] + eos_token + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ "
            "'<|assistant|>\\n' }}{% endif %}",
    },
    {
        .name = "gemma",
        .needs = {"<start_of_turn>", "<end_of_turn>"},
        .bos = "<bos>",
        .end = "<end_of_turn>",
        .begin = BOS,
        .between = "\n",
        .user = {"<start_of_turn>user\n", "<end_of_turn>"},
        .head = "<start_of_turn>model\n",
        .answer = {"", ""},
        .without_system = "the model knows none; put it into the user's message",
        .trims = ~0,
        .alternates = 1,
        .text_is_turn = 1,
        .has = {"<start_of_turn>", "<end_of_turn>", "bos_token", "System role not supported", "trim"},
        .jinja =
            "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ "
            "raise_exception('System role not supported') }}{% endif %}{{ '<start_of_turn>' + ('model' if "
            "message['role'] == 'assistant' else 'user') + '\\n' + message['content'] | trim + "
            "'<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' "
            "}}{% "
            "endif %}",
    },
};

const int template_n = sizeof template_table / sizeof *template_table;
